use proptest::prelude::*;

use super::*;

/// The parts that are neither blank nor comment.
fn parts(dialect: Dialect, text: &str) -> Vec<&str> {
    Lexer::new(dialect, text)
        .filter(|token| !token.kind.is_trivia())
        .map(|token| &text[token.start..token.end])
        .collect()
}

fn last_kind(dialect: Dialect, text: &str) -> TokenKind {
    Lexer::new(dialect, text).last().expect("a token").kind
}

#[test]
fn literals_of_postgres_end_where_the_server_says() {
    let cases: &[(&str, &[&str])] = &[
        (r"'a''b\' x", &[r"'a''b\'", "x"]),
        (r"E'a\'b' x", &[r"E'a\'b'", "x"]),
        (r"e'a\\' x", &[r"e'a\\'", "x"]),
        ("E'a' -- c\n 'b\\'c' x", &["E'a' -- c\n 'b\\'c'", "x"]),
        ("E'a' 'b\\' x", &["E'a'", "'b\\'", "x"]),
        (r"U&'a\' x", &["U", "&", r"'a\'", "x"]),
        (r"fE'a\' x", &["fE", r"'a\'", "x"]),
        ("$$a;'b$$ x", &["$$a;'b$$", "x"]),
        ("$t$a$$b$t$ x", &["$t$a$$b$t$", "x"]),
        ("a$$b $1 $2", &["a$$b", "$", "1", "$", "2"]),
        ("\"a\"\"b;\" x", &["\"a\"\"b;\"", "x"]),
        ("/* a /* b */ c */ x", &["x"]),
        ("a[1]", &["a", "[", "1", "]"]),
        ("a -- b\rc -- d\r\ne", &["a", "c", "e"]),
        ("E'a' -- c\r'b\\'c' x", &["E'a' -- c\r'b\\'c'", "x"]),
        ("E'a'\r'b\\'c' x", &["E'a'\r'b\\'c'", "x"]),
        ("\\restrict k1\na\n\\unrestrict k1\n", &["a"]),
        ("\\restrict k1 x\n", &["\\", "restrict", "k1", "x"]),
    ];
    for (text, expected) in cases {
        assert_eq!(parts(Dialect::Postgres, text), *expected, "{text}");
    }
}

#[test]
fn literals_of_sqlite_end_where_the_library_says() {
    let cases: &[(&str, &[&str])] = &[
        (r"'a''b\' x", &[r"'a''b\'", "x"]),
        (r"E'a\' x", &["E", r"'a\'", "x"]),
        ("[a;]b] x", &["[a;]", "b", "]", "x"]),
        ("`a``;` x", &["`a``;`", "x"]),
        ("/* a /* b */ x", &["x"]),
        ("$a(;) $$; x", &["$a(;)", "$$", ";", "x"]),
        ("$a::b(c;d)e", &["$a::b(c;d)", "e"]),
        (":a;@b", &[":a", ";", "@b"]),
        ("$t$a;$t$", &["$t$a", ";", "$t$"]),
        ("a -- b\rc;\nd", &["a", "d"]),
        ("\\restrict k1", &["\\", "restrict", "k1"]),
    ];
    for (text, expected) in cases {
        assert_eq!(parts(Dialect::Sqlite, text), *expected, "{text}");
    }
}

#[test]
fn an_unclosed_token_ends_with_the_text() {
    use Unclosed::*;
    for (text, unclosed) in [
        ("a 'b;", Literal),
        ("E'\\'", Literal),
        ("$x$ $y$", Literal),
        ("\"b", Name),
        ("/* /* */", Comment),
        ("E'\\", Literal),
    ] {
        assert_eq!(last_kind(Dialect::Postgres, text), TokenKind::Unclosed(unclosed), "{text}");
    }
    for (text, unclosed) in [("a 'b;", Literal), ("[b", Name), ("`b``", Name), ("/* *", Comment)] {
        assert_eq!(last_kind(Dialect::Sqlite, text), TokenKind::Unclosed(unclosed), "{text}");
    }
}

#[test]
fn data_are_cut_from_the_command() {
    let text = "COPY a (id, \"b;\") FROM stdin WITH (FORMAT csv); -- rows\n1,it's;\n\\.x\n\\.\nSELECT 1;";
    let tokens: Vec<_> = Lexer::new(Dialect::Postgres, text).collect();
    let data = tokens.iter().find(|token| token.kind == TokenKind::CopyData).expect("data");
    let statement = &text[..data.end];
    let (command, rows) = copy_from_client(statement).expect("a COPY");
    assert_eq!(command, "COPY a (id, \"b;\") FROM stdin WITH (FORMAT csv)");
    assert_eq!(&statement[rows], "1,it's;\n\\.x\n");
    assert!(tokens.iter().any(|token| &text[token.start..token.end] == "SELECT"));
    assert_eq!(copy_from_client("COPY a FROM STDIN;\n\\.").map(|(_, rows)| rows), Some(19..19));
}

#[test]
fn other_statements_have_no_data() {
    for text in [
        "COPY a TO stdout;\n\\.\n",
        "COPY (SELECT b FROM stdin) TO '/x';\n\\.\n",
        "SELECT 1 AS copy FROM stdin;\n\\.\n",
        "COPY a FROM stdin; SELECT 1;\n\\.\n",
        "COPY a FROM stdin;",
        "COPY a FROM '/stdin';\n\\.\n",
    ] {
        assert_eq!(copy_from_client(text), None, "{text}");
    }
    let open = Lexer::new(Dialect::Postgres, "COPY a FROM stdin;\n1\n").last().map(|token| token.kind);
    assert_eq!(open, Some(TokenKind::Unclosed(Unclosed::Data)));
    assert!(Lexer::new(Dialect::Sqlite, "COPY a FROM stdin;\n1\n\\.\n").all(|token| token.kind != TokenKind::CopyData));
}

proptest! {
    #[test]
    fn tokens_joined_are_the_text(text in r#"([-/*'"$;()eE\\\[\]`:aé \n]|.){0,60}"#) {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let mut end = 0;
            for token in Lexer::new(dialect, &text) {
                prop_assert_eq!(token.start, end);
                prop_assert!(token.end > token.start && text.is_char_boundary(token.end));
                end = token.end;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
