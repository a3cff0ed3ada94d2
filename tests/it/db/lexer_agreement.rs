//! Compares where haul ends statements with where PostgreSQL does: a generated script is sent whole, and in haul's pieces.
//!
//! `HAUL_LEXER_SCRIPTS` is the number of scripts and `HAUL_LEXER_SEED` the first seed; `scripts/lexer` sets them.

use haul::db::Dialect;
use haul::db::script::{Lexer, Pieces, TokenKind};
use postgres::Client;

use crate::support::db::Db;

const SCRIPTS: u64 = 300;
const SEED: u64 = 1;
/// What may be between two tokens.
const TRIVIA: &[&str] = &[
    " ",
    "\n",
    "\t",
    "\u{c}",
    "\r",
    "-- ;'\n",
    "-- ;\"\r",
    "--\n",
    "/*;*/",
    "/* /* ' */ ; */",
    "/**/",
    " --'\r\n",
    "/*/ */",
    "/*--*/",
    "--/*\n",
    "--$$\r",
    "/*'*/-- \r",
];
/// Values that quote, or look like it.
const VALUES: &[&str] = &[
    "1",
    "'a;b'",
    "'it'';s'",
    "E'a\\';b'",
    "e'\\\\'",
    "E'a'';b'",
    "$$a;'b$$",
    "$t$ $$;$t$",
    "$é$;$e$$é$",
    "$a1$;$a$a1$",
    "U&'\\0041;'",
    "U&'d!0061;' UESCAPE '!'",
    "'a'\n'b;'",
    "E'a'\n'\\';'",
    "E'a' -- ;\r'\\';'",
    "E'a'\r'\\';'",
    "E'a'--\n--\n'\\';'",
    "B'1'",
    "X'1F'",
    "N'x;'",
    "(SELECT \"a;\"\"b\" FROM (SELECT 1 AS \"a;\"\"b\") q)",
    "1 - -1",
    "1 -/*;*/- 1",
    "2*/*;/*;*/*/3",
    "1-- ;\n+1",
    "1+--;\r1",
    "(SELECT a$b$ FROM (SELECT 1 AS a$b$) q)",
    "(SELECT é FROM (SELECT 1 AS é) q)",
    "1.",
    "1e1",
    "'\\'",
    "'a\\;'",
    "(SELECT 1 AS end)",
    "CASE 1 WHEN 1 THEN ';' END",
    "array[1][1]",
    "'{\"a\": \";\"}'::json->>'a'",
    "$$$$",
    "'--'",
    "'/*'",
    "E'\\n;\\t'",
    "1::text",
    "@-1",
    "'a' 'b'",
    "E'a' 'b\\'",
    "1E'a'",
    "$1",
    "a$$b$$",
    "1$$;$$",
    "'",
    "$$",
    "\"",
    "/*",
    "(",
    ")",
    "E'\\'",
    "*/",
    "1;",
    "$a$;$b$",
];
/// Values from here on are mostly errors; they are rare.
const SOUND: usize = 42;

/// A generator of numbers, the same on each machine: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("below a usize")
    }

    fn trivia(&mut self) -> String {
        let count = 1 + self.next(2);
        (0..count).map(|_| TRIVIA[self.next(TRIVIA.len())]).collect()
    }

    fn value(&mut self) -> &'static str {
        let is_rare = self.next(25) == 0;
        VALUES[if is_rare { self.next(VALUES.len()) } else { self.next(SOUND) }]
    }

    /// Returns a statement that records its number.
    fn statement(&mut self, number: usize) -> String {
        let (a, b, c, d) = (self.trivia(), self.trivia(), self.trivia(), self.value());
        let done = format!("INSERT{a}INTO{b}done SELECT{c}{number}");
        match self.next(8) {
            0 => format!("DO{a}$x${b}BEGIN {done}; -- '\r\n END $x$"),
            1 => format!("CREATE{a}RULE r{number} AS{b}ON UPDATE TO done DO{c}ALSO (SELECT 1;{a}SELECT 2); {done}"),
            2 => format!(
                "CREATE{a}FUNCTION f{number}() RETURNS int{b}LANGUAGE sql BEGIN{a}ATOMIC{c}SELECT 1 AS end;{b}SELECT CASE 1 WHEN 1 \
                 THEN 2 END;{c}END; {done}{b}FROM f{number}()"
            ),
            3 => format!("CREATE OR{a}REPLACE PROCEDURE p() LANGUAGE sql{b}BEGIN ATOMIC{c}END; {done}"),
            _ => format!("{done}{a}WHERE({d}) IS{b}NOT NULL"),
        }
    }

    fn script(&mut self) -> String {
        let count = 1 + self.next(4);
        (1..=count).map(|number| format!("{}{}{};", self.trivia(), self.statement(number), self.trivia())).collect()
    }
}

/// Runs a script in a transaction of its own. Returns the numbers that it recorded, or `None` if it failed.
fn recorded(client: &mut Client, run: impl FnOnce(&mut Client) -> bool) -> Option<Vec<i32>> {
    client.batch_execute("BEGIN").expect("a transaction");
    let numbers = run(client).then(|| {
        let rows = client.query("SELECT n FROM done ORDER BY n", &[]).expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    });
    client.batch_execute("ROLLBACK").expect("the end of the transaction");
    numbers
}

fn in_pieces(client: &mut Client, script: &str) -> bool {
    // What haul refuses before anything runs counts as a failure.
    let is_refused = |kind| matches!(kind, TokenKind::Unclosed(_) | TokenKind::Backslash);
    if Lexer::new(Dialect::Postgres, script).any(|token| is_refused(token.kind)) {
        return false;
    }
    let statements = Pieces::new(Dialect::Postgres, script).filter_map(|piece| piece.statement);
    // The extended protocol refuses a text with several statements, so each piece is at most one.
    statements.map(|statement| client.query_typed(&script[statement.range], &[])).all(|result| result.is_ok())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "needs PostgreSQL"]
fn statements_end_where_postgres_ends_them() {
    let db = Db::postgres();
    db.execute("CREATE TABLE done (n int)");
    let mut client = db.client();
    let (scripts, seed) = (setting("HAUL_LEXER_SCRIPTS", SCRIPTS), setting("HAUL_LEXER_SEED", SEED));
    let (mut differences, mut succeeded) = (Vec::new(), 0);
    for seed in seed..seed + scripts {
        let script = Random(seed).script();
        let whole = recorded(&mut client, |client| client.batch_execute(&script).is_ok());
        let pieces = recorded(&mut client, |client| in_pieces(client, &script));
        succeeded += u64::from(whole.is_some());
        if whole != pieces {
            differences.push(format!("seed {seed}: whole {whole:?}, in pieces {pieces:?}: {script:?}"));
        }
    }
    let count = differences.len();
    println!(r#"{{"engine":"postgres","scripts":{scripts},"succeeded":{succeeded},"differences":{count}}}"#);
    assert!(succeeded * 3 > scripts, "too few scripts are right to tell anything: {succeeded} of {scripts}");
    assert!(differences.is_empty(), "{count} differences\n{}", differences[..count.min(20)].join("\n"));
}
