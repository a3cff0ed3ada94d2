//! Secrets in texts that are shown or stored: the one place that takes them out.

/// Stands where a secret stood.
const HIDDEN: &str = "***";
/// Names of parameters whose values are secrets, in URLs and in lists of `name=value`.
const SECRET_NAMES: [&str; 3] = ["password", "passwd", "sslpassword"];

/// The text with every secret of a connection string hidden: `scheme://user:***@host`, `password=***`.
///
/// Made for words of a command line and for messages of other programs, so it finds them anywhere in a text, and hides
/// rather too much than too little: of a URL everything between the user and the last `@` before a blank.
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            shown.push(' ');
        }
        shown.push_str(&without_parameters(&without_user_info(word)));
    }
    shown
}

/// `postgres://user:secret@host/x` as `postgres://user:***@host/x`.
fn without_user_info(word: &str) -> String {
    let parts = word.split_once("://").and_then(|(scheme, rest)| {
        let (user_info, place) = rest.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        Some(format!("{scheme}://{user}:{HIDDEN}@{place}"))
    });
    parts.unwrap_or_else(|| word.to_owned())
}

/// `password=secret` as `password=***`, also behind `?` or `&`.
fn without_parameters(word: &str) -> String {
    let mut shown = word.to_owned();
    for name in SECRET_NAMES {
        let mut from = 0;
        while let Some(found) = shown[from..].to_ascii_lowercase().find(&format!("{name}=")) {
            let start = from + found + name.len() + 1;
            let end = shown[start..].find('&').map_or(shown.len(), |end| start + end);
            shown.replace_range(start..end, HIDDEN);
            from = start + HIDDEN.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_secret_stays() {
        for text in ["", "a  b", "postgres://host/x", "postgres://me@host/x", "sqlite:a@b:c", "12:30 me@host", "ä=ö"]
        {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        let cases = [
            ("postgres://me:pw@host/x", "postgres://me:***@host/x"),
            ("--database=postgres://me:p@w:x@host/x --yes", "--database=postgres://me:***@host/x --yes"),
            ("postgres://me:p/w?x@host", "postgres://me:***@host"),
            ("postgres://host/x?password=pw&user=me", "postgres://host/x?password=***&user=me"),
            ("postgres:///x?sslpassword=pw&PassWord=pw", "postgres:///x?sslpassword=***&PassWord=***"),
            ("host=h password=pw user=me", "host=h password=*** user=me"),
        ];
        for (text, shown) in cases {
            assert_eq!(redacted(text), shown);
        }
    }
}
