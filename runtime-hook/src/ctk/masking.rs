//! What must not leave this machine: passwords, tokens, credentials and the values of variables that are not ours.

use nvshare_protocol::wishes;
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Value as TomlValue};

/// Stands where something was.
pub const LEFT_OUT: &str = "(left out)";

/// In capitals or not; anywhere in the name of a key.
const SECRETS: [&str; 13] = [
    "auth",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "credential",
    "apikey",
    "accesskey",
    "private",
    "bearer",
    "cookie",
];
/// Under such a key stand variables.
const VARIABLES: [&str; 5] = ["env", "environment", "default-env", "default_env", "engine_env"];

fn is_secret(key: &str) -> bool {
    let letters = key.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase());
    let letters: String = letters.collect();
    SECRETS.iter().any(|word| letters.contains(word)) || letters.ends_with("pass")
}

/// Whether a secret comes after this word of a command: `--token`, and not `--token=...`.
fn announces_secret(word: &str) -> bool {
    let is_flag = word.starts_with('-') && !word.contains('=');
    (is_flag && is_secret(word)) || word.eq_ignore_ascii_case("bearer")
}

/// A text of a configuration.
fn words(text: &str) -> String {
    assignments(&flags(&addresses(text)))
}

fn has_variables(key: &str) -> bool {
    VARIABLES.iter().any(|word| word.eq_ignore_ascii_case(key))
}

fn is_ours(variable: &str) -> bool {
    variable.starts_with(wishes::PREFIX) || variable == "RUST_LOG"
}

/// `NAME=value` of somebody else without the value.
fn variable(entry: &str) -> String {
    match entry.split_once('=') {
        Some((name, _)) if !is_ours(name) => format!("{name}={LEFT_OUT}"),
        _ => entry.to_owned(),
    }
}

/// A configuration in JSON.
///
/// # Errors
/// It is none, so that nothing in it can be told from a secret.
pub fn json(text: &str) -> Result<String, serde_json::Error> {
    let mut value: Value = serde_json::from_str(text)?;
    mask_json(&mut value, false);
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn mask_json(value: &mut Value, variables: bool) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                if is_secret(key) || (variables && !is_ours(key)) {
                    *value = LEFT_OUT.into();
                } else {
                    mask_json(value, has_variables(key));
                }
            }
        }
        Value::Array(list) => {
            let mut is_next = false;
            for value in list {
                let announces = value.as_str().is_some_and(announces_secret);
                match is_next {
                    true => *value = LEFT_OUT.into(),
                    false => mask_json(value, variables),
                }
                is_next = announces;
            }
        }
        Value::String(text) if variables => *text = variable(text),
        Value::String(text) => *text = words(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A configuration in TOML, without its comments: those are often settings of before.
///
/// # Errors
/// It is none, so that nothing in it can be told from a secret.
pub fn toml(text: &str) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    mask_table(document.as_table_mut(), false);
    let lines = document.to_string();
    Ok(lines
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .fold(String::new(), |all, line| all + line + "\n"))
}

fn mask_table(table: &mut dyn toml_edit::TableLike, variables: bool) {
    for (key, item) in table.iter_mut() {
        let key = key.get().to_owned();
        if is_secret(&key) || (variables && !is_ours(&key)) {
            *item = toml_edit::value(LEFT_OUT);
            continue;
        }
        let variables = has_variables(&key);
        match item {
            Item::None => {}
            Item::Value(value) => mask_toml(value, variables),
            Item::Table(table) => {
                table.decor_mut().clear();
                mask_table(table, variables);
            }
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|table| {
                table.decor_mut().clear();
                mask_table(table, variables);
            }),
        }
    }
}

/// The comment behind a value goes too.
fn mask_toml(value: &mut TomlValue, variables: bool) {
    match value {
        TomlValue::InlineTable(table) => mask_table(table, variables),
        TomlValue::Array(list) => {
            list.set_trailing("");
            let mut is_next = false;
            for value in list.iter_mut() {
                let announces = value.as_str().is_some_and(announces_secret);
                if is_next {
                    *value = LEFT_OUT.into();
                }
                mask_toml(value, variables);
                is_next = announces;
            }
        }
        TomlValue::String(text) => {
            let masked = if variables { variable(text.value()) } else { words(text.value()) };
            *value = masked.into();
        }
        TomlValue::Integer(_) | TomlValue::Float(_) | TomlValue::Boolean(_) | TomlValue::Datetime(_) => {}
    }
    value.decor_mut().clear();
}

/// Lines of any other kind: addresses with a password, `password=...`, and the variables of a unit.
pub fn lines(text: &str) -> String {
    let (mut out, mut is_environment) = (String::new(), false);
    for line in text.lines() {
        let begins = line.split_once('=').is_some_and(|(key, _)| key.trim() == "Environment");
        // The further lines of a setting that goes on have no key.
        out += &if is_environment && !begins { LEFT_OUT.into() } else { words(line) };
        out.push('\n');
        is_environment = (begins || is_environment) && line.ends_with('\\');
    }
    out
}

/// What comes after `--token`.
fn flags(line: &str) -> String {
    let mut is_next = false;
    let word = |word: &str| {
        let (text, end) = word.split_at(word.trim_end().len());
        let is_this = is_next && !text.is_empty();
        is_next = announces_secret(text) || (is_next && text.is_empty());
        format!("{}{end}", if is_this { LEFT_OUT } else { text })
    };
    line.split_inclusive(char::is_whitespace).map(word).collect()
}

/// `scheme://user:password@host` and `user:password@host` without the user and the password.
fn addresses(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "\"'<>".contains(c);
    text.split_inclusive(is_end).map(address).collect()
}

/// A word with what ends it.
fn address(word: &str) -> String {
    let Some(at) = word.rfind('@') else { return word.to_owned() };
    let begins = match word.find("://").filter(|scheme| *scheme < at) {
        Some(scheme) => {
            let begins = scheme + 3;
            let authority = word[begins..].split(['/', '?', '#']).next().unwrap_or_default();
            // A password may have a slash, though it should not: then it looks like a port and a path.
            match authority.rfind('@') {
                Some(user) if !authority.contains(':') => {
                    return format!("{}{LEFT_OUT}{}", &word[..begins], &word[begins + user..]);
                }
                None if !authority.contains(':') => return word.to_owned(),
                _ => begins,
            }
        }
        None => {
            // The digest of an image.
            if word[at..].starts_with("@sha256:") {
                return word.to_owned();
            }
            let Some(colon) = word[..at].find(':') else { return word.to_owned() };
            word[..colon].rfind('=').map_or(0, |equals| equals + 1)
        }
    };
    format!("{}{LEFT_OUT}{}", &word[..begins], &word[at..])
}

/// Whatever follows a word that says that it is secret, and variables of a unit that are not ours.
fn assignments(line: &str) -> String {
    if let Some((key, given)) = line.split_once('=')
        && key.trim() == "Environment"
    {
        let name = given.trim_start_matches(['"', '\'']).split('=').next().unwrap_or_default();
        return if is_ours(name) && !given.contains(' ') { line.into() } else { format!("{key}={LEFT_OUT}") };
    }
    let Some(at) = line.find(['=', ':']) else { return line.into() };
    let mut masked = String::new();
    let mut rest = line;
    let mut next = Some(at);
    while let Some(at) = next {
        let word = rest[..at]
            .trim_end()
            .rsplit(|c: char| c.is_whitespace() || "\"',{(".contains(c))
            .next()
            .unwrap_or_default();
        let word = if word.is_empty() {
            rest[..at].trim_end_matches(['"', '\'', ' ']).rsplit(['"', '\'', ' ']).next().unwrap_or_default()
        } else {
            word
        };
        if is_secret(word) {
            return masked + &rest[..=at] + LEFT_OUT;
        }
        masked += &rest[..=at];
        rest = &rest[at + 1..];
        next = rest.find(['=', ':']);
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_in_json_loses_its_secrets_alone() {
        let text = r#"{"log-level": "warn", "auths": {"r.example": {"auth": "c2VjcmV0"}}, "proxies": {"http-proxy":
            "http://me:s3cret@proxy:3128/x?y", "no-proxy": "localhost"}, "log-opts": {"splunk-token": "s3cret"},
            "default-env": ["A=s3cret", "NVSHARE_WEIGHT=2"], "hook": {"env": {"B": "s3cret", "NVSHARE_LOG": "info"}},
            "registry-mirrors": ["https://s3cret@mirror/"], "runtimes": {"nvshare": {"path": "/usr/bin/nvshare-runtime"}}}"#;
        let masked = json(text).unwrap();
        for secret in ["s3cret", "c2VjcmV0", "me:"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        for kept in [
            "\"warn\"",
            "http://(left out)@proxy:3128/x?y",
            "A=(left out)",
            "NVSHARE_WEIGHT=2",
            "\"info\"",
            "/usr/bin/nvshare-runtime",
        ] {
            assert!(masked.contains(kept), "{kept}: {masked}");
        }
        assert!(json("{\"password\": \"s3cret\"").is_err());
    }

    #[test]
    fn words_of_commands_and_addresses_of_any_form_lose_their_secrets() {
        let text = r#"{"proxies": {"http-proxy": "me:s3cret@proxy:3128", "https-proxy": "http://me:a/s3cret#b@proxy"},
            "runtimes": {"x": {"path": "/usr/bin/x", "runtimeArgs": ["--token", "s3cret", "--log=/l", "--password=s3cret"]}},
            "log-opts": {"awslogs-access-key-id": "s3cret"}, "image": "r:5000/pause:3.9@sha256:abc", "url": "https://m:443/x"}"#;
        let masked = json(text).unwrap();
        assert!(!masked.contains("s3cret") && !masked.contains("me:"), "{masked}");
        for kept in ["\"--log=/l\"", "@proxy:3128", "r:5000/pause:3.9@sha256:abc", "https://m:443/x"] {
            assert!(masked.contains(kept), "{kept}: {masked}");
        }
        let masked =
            toml("[crio.runtime]\ndefault_env = [\"A=s3cret\"]\nargs = [\"--auth\", \"s3cret\", \"-v\"]\n")
                .unwrap();
        assert!(!masked.contains("s3cret") && masked.contains("\"-v\""), "{masked}");
    }

    #[test]
    fn a_configuration_in_toml_loses_its_secrets_alone() {
        let text = "# password = \"s3cret\"\nversion = 2 # s3cret\n[plugins.cri.registry.configs.\"r\".auth]\nusername = \"me\"\n\
                    password = \"s3cret\"\n[engine]\nenv = [\"http_proxy=http://s3cret@p\", \"NVSHARE_LOG=info\", # s3cret\n\"A=s3cret\" # s3cret\n# s3cret\n] # s3cret\nx = { token = \"s3cret\", y = 1 }\n\
                    [[mirror]] # s3cret\naddress = \"https://a:s3cret@m\"\n[runtime]\non_error = \"fail\"\n";
        let masked = toml(text).unwrap();
        assert!(!masked.contains("s3cret") && !masked.contains("\"me\""), "{masked}");
        for kept in [
            "version = 2",
            "http_proxy=(left out)",
            "NVSHARE_LOG=info",
            "y = 1",
            "https://(left out)@m",
            "on_error = \"fail\"",
        ] {
            assert!(masked.contains(kept), "{kept}: {masked}");
        }
        assert!(toml("password = s3cret\n").is_err());
    }

    #[test]
    fn lines_lose_what_follows_a_word_for_a_secret() {
        for (line, masked) in [
            ("Environment=\"HTTP_PROXY=http://a:b@c\"", "Environment=(left out)"),
            ("Environment=NVSHARE_CONFIG_FILE=/x", "Environment=NVSHARE_CONFIG_FILE=/x"),
            ("Environment=NVSHARE_LOG=info A=s3cret", "Environment=(left out)"),
            (
                "12:00:01 tenant 1 (a, pid 2) joined: weight 1",
                "12:00:01 tenant 1 (a, pid 2) joined: weight 1",
            ),
            ("pull https://a:b@c/d failed", "pull https://(left out)@c/d failed"),
            ("with token=s3cret and more", "with token=(left out)"),
            ("{\"time\":\"t\",\"Password\": \"s3cret\"}", "{\"time\":\"t\",\"Password\":(left out)"),
            ("ExecStart=/usr/bin/nvshare-scheduler", "ExecStart=/usr/bin/nvshare-scheduler"),
            ("ExecStart=/usr/bin/x --token  s3cret -v", "ExecStart=/usr/bin/x --token  (left out) -v"),
            ("sent bearer s3cret to a@b", "sent bearer (left out) to a@b"),
            ("proxy me:s3cret@proxy:3128 failed", "proxy (left out)@proxy:3128 failed"),
            ("http_proxy=me:s3=cret@proxy:3128", "http_proxy=(left out)@proxy:3128"),
            ("DB_PASS=s3cret", "DB_PASS=(left out)"),
            (
                "Environment=NVSHARE_LOG=info \\\n  A=s3cret \\\n B=s3cret\nUser=x",
                "Environment=(left out)\n(left out)\n(left out)\nUser=x",
            ),
        ] {
            assert_eq!(lines(line), format!("{masked}\n"));
        }
    }
}
