use super::*;
use keystead_vault::Sensitive;
use proptest::prelude::*;

mod bounds;

const CANARY: &str = "hunter2-canary";
const PIN: &str = "9007199254740991";

fn secrets() -> Secrets {
    let keys = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), Sensitive::from(*value)))
            .collect()
    };
    Secrets::from([
        (
            "crm".to_owned(),
            keys(&[("api_key", CANARY), ("base-url", "https://x")]),
        ),
        (
            "db".to_owned(),
            keys(&[("password", "it's p@ss/word"), ("port", "5432")]),
        ),
        ("none".to_owned(), keys(&[])),
        ("pin".to_owned(), keys(&[("pin", PIN)])),
    ])
}

fn rendered(text: &str) -> Result<String, String> {
    render(text, secrets())
        .map(|text| text.expose().clone())
        .map_err(|error| error.to_string())
}

fn looked(text: &str) -> Result<(), String> {
    let shown = ["api_key".to_owned(), "base-url".to_owned()];
    let keys = |name: &str| match name {
        "crm" => Some(shown.as_slice()),
        "db" | "none" => Some([].as_slice()),
        _ => None,
    };
    check(text, keys).map_err(|error| error.to_string())
}

/// Templates that are good, and what they make.
const GOOD: [(&str, &str); 22] = [
    ("key={{ secret(\"crm\").api_key }}\n", "key=hunter2-canary\n"),
    (
        "{{ secret('crm')['base-url'] }} {{ secret('crm', 'base-url') }}",
        "https://x https://x",
    ),
    (
        "{% for key, value in secret('db')|items %}\n{{ key }}: {{ value }}\n{% endfor %}\nend\n",
        "password: it's p@ss/word\nport: 5432\nend\n",
    ),
    ("{{ secret('db').password|quote }}", r"'it'\''s p@ss/word'"),
    (
        "postgres://u:{{ secret('db').password|urlencode }}@db",
        "postgres://u:it%27s%20p%40ss/word@db",
    ),
    (
        "{{ secret('crm')|json }}",
        r#"{"api_key":"hunter2-canary","base-url":"https://x"}"#,
    ),
    ("{{ {'a': [1, secret('db').port]}|json }}", r#"{"a":[1,"5432"]}"#),
    ("{{ ('{\"a\": [\"x\"]}'|fromjson).a[0] }}", "x"),
    ("{{ 'é'|b64encode }} {{ 'w6k=\n'|b64decode }}", "w6k= é"),
    ("a:\n  {{ 'x\ny'|indent(2) }}\n", "a:\n  x\n  y\n"),
    ("{{ secret('db').missing|default('x') }}", "x"),
    (
        "{% if secret('db').missing is defined %}a{% else %}b{% endif %}",
        "b",
    ),
    ("{% if secret('none') %}a{% else %}b{% endif %}", "b"),
    ("{% if 'port' in secret('db') %}a{% endif %}", "a"),
    ("{% set p = secret('db').port|int %}{{ p + 1 }}", "5433"),
    (
        "{% set line %}{{ 'a'|upper }}={% endset %}{{ line }}{% filter upper %}b{% endfilter %}",
        "A=B",
    ),
    (
        "{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}",
        "1,2,3",
    ),
    (
        "{{ 'a,b'|split(',')|join(';') }} {{ ' x '|trim }} {{ 'x'|replace('x', 'y') }}",
        "a;b x y",
    ),
    (
        "{{ ['b', 'a', 'b']|unique|sort|join }} {{ 'AB'|lower }} {{ 'ab'|length }}",
        "ab ab 2",
    ),
    (
        "{{ [1, 2]|first }}{{ [1, 2]|last }}{{ 'a\nb'|lines|list|length }}",
        "122",
    ),
    ("{# nobody sees this #}<&'\">", "<&'\">"),
    ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
];

#[test]
fn templates_make_what_they_say() {
    for (text, wanted) in GOOD {
        assert_eq!(rendered(text).as_deref(), Ok(wanted), "{text}");
        assert_eq!(looked(text), Ok(()), "{text}");
    }
}

#[test]
fn what_can_not_work_is_found_without_values() {
    for (text, wanted) in [
        ("a\n{{ secret('crm'", "line 2: it can't be read: "),
        ("{% if x %}", "it can't be read: "),
        ("a\nb {{ 'x'|upcase }}", "line 2: there is no filter upcase"),
        ("{% if 1 is prime %}{% endif %}", "line 1: there is no test prime"),
        ("{{ env.HOME }}", "line 1: there is no variable or function env"),
        (
            "{{ lookup('x') }}",
            "line 1: there is no variable or function lookup",
        ),
        ("{{ debug() }}", "line 1: there is no variable or function debug"),
        ("{% include 'x' %}", "line 1: it can't be read: "),
        (
            "{{ secret.crm }}",
            "line 1: secret is a function: write secret(\"name\").key",
        ),
        ("{{ secret() }}", "line 1: secret takes the name"),
        (
            "\n{{ secret('hr').x }}",
            "line 2: secret(\"hr\") must be the name of an entry of spec.secrets",
        ),
        (
            "{{ secret('crm').url }}",
            "line 1: url is not among spec.secrets[crm].keys",
        ),
        (
            "{{ secret('crm')['url'] }}",
            "line 1: url is not among spec.secrets[crm].keys",
        ),
        (
            "{{ secret('crm', 'url') }}",
            "line 1: url is not among spec.secrets[crm].keys",
        ),
        (
            "{% for k in [] %}{{ secret('crm').url }}{% endfor %}",
            "line 1: url is not among",
        ),
        (
            "{% set m %}{{ secret('hr').x }}{% endset %}",
            "line 1: secret(\"hr\") must be",
        ),
        ("{% macro m() %}{% endmacro %}", "line 1: it can't be read: "),
    ] {
        let said = looked(text).expect_err(text);
        assert!(
            said.starts_with(wanted) || said.contains(wanted),
            "{text}: {said}"
        );
    }
    assert_eq!(
        looked("{{ secret('db').anything }}"),
        Ok(()),
        "all keys are shown"
    );
}

#[test]
fn the_secrets_that_it_uses_are_known_or_said_not_to_be() {
    for (text, wanted) in [
        (
            "{{ secret('crm').a }}{{ secret(\"db\", 'b') }}{{ secret('crm')|json }}",
            Some("crm db"),
        ),
        ("{% if false %}{{ secret('crm').a }}{% endif %}", Some("crm")),
        ("secret('crm')", Some("")),
        ("{% set n = 'crm' %}{{ secret(n).a }}", None),
        ("{{ secret('c' ~ n).a }}", None),
        ("{{ secret(*['crm']).a }}", None),
        ("{% set s = secret %}{{ s('crm').a }}", None),
        ("{{ secret(", None),
    ] {
        let found = names(text).map(|found| found.into_iter().collect::<Vec<_>>().join(" "));
        assert_eq!(found.as_deref(), wanted, "{text}");
    }
}

#[test]
fn what_is_not_there_is_never_nothing() {
    let lacks = "line 1: secret(\"crm\") has no key url";
    for text in [
        "{{ secret('crm').url }}",
        "{{ secret('crm', 'url') }}",
        "{% if secret('crm').url %}{% endif %}",
    ] {
        assert_eq!(rendered(text), Err(lacks.to_owned()), "{text}");
    }
    for filter in [
        "b64decode",
        "b64encode",
        "first",
        "fromjson",
        "indent(1)",
        "int",
        "items",
        "join",
        "json",
        "last",
        "length",
        "lines",
        "list",
        "lower",
        "quote",
        "replace('a', 'b')",
        "sort",
        "split",
        "tojson",
        "trim",
        "unique",
        "upper",
        "urlencode",
    ] {
        let text = format!("{{{{ secret('crm').url|{filter} }}}}");
        assert_eq!(rendered(&text), Err(lacks.to_owned()), "{filter}");
    }
    assert_eq!(
        rendered("{{ secret('crm').url|default('') }}{{ secret('db').port.x }}"),
        Err("line 1: something that it uses is not there".to_owned()),
        "of another secret's"
    );
}

#[test]
fn steps_and_size_are_bounded() {
    let many = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}";
    assert_eq!(
        rendered(many),
        Err("line 1: it takes more than 100000 steps: make its loops shorter".to_owned())
    );
    let large = "{% for a in range(2000) %}{{ 'x' * 1000 }}{% endfor %}";
    assert_eq!(
        rendered(large),
        Err("what it makes is larger than 1 MiB".to_owned())
    );
    let fits = "{% for a in range(1024) %}{{ 'x' * 1024 }}{% endfor %}";
    assert_eq!(rendered(fits).map(|text| text.len()), Ok(LARGEST));
    let deep = "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}";
    assert!(rendered(deep).is_err());
}

#[test]
fn no_error_holds_a_value() {
    for text in [
        "{{ secret('crm').api_key + 1 }}",
        "{{ secret('crm').api_key - 1 }}",
        "{{ secret('crm').api_key|int }}",
        "{{ secret('crm').api_key|b64decode }}",
        "{{ secret('crm').api_key|fromjson }}",
        "{{ secret('crm').api_key() }}",
        "{{ secret('crm').api_key.x }}",
        "{{ secret('crm').api_key.x() }}",
        "{{ secret('crm')|sort(attribute=secret('crm').api_key) }}",
        "{{ secret(secret('crm').api_key) }}",
        "{{ secret('crm')[secret('crm').api_key] }}",
        "{{ secret('crm', secret('crm').api_key) }}",
        "{{ secret('crm')|upper(secret('crm').api_key) }}",
        "{% for a, b in [secret('crm').api_key] %}{% endfor %}",
        "{{ range(secret('crm').api_key) }}",
        "{{ 'x' * secret('crm').api_key }}",
        "{{ secret('crm').api_key|indent(secret('crm').api_key) }}",
        "{{ [1]|join(secret('crm')) }}",
        "{{ {}[secret('crm').api_key] }}",
        "{{ secret('crm').api_key|upper|b64encode|b64decode|int }}",
        "{{ [1]|sort(**{secret('crm').api_key: 1}) }}",
        "{{ secret('pin').pin|int ** 9 }}",
    ] {
        if let Err(error) = render(text, secrets()) {
            let said = format!("{error} {error:?}").to_lowercase();
            assert!(!said.contains(CANARY) && !said.contains(PIN), "{text}: {said}");
        }
    }
}

proptest! {
    /// Whatever stands there, an answer comes and no panic, and no error holds a value.
    #[test]
    fn any_text_is_answered(parts in proptest::collection::vec(prop_oneof![
        Just("{{ "), Just(" }}"), Just("{% "), Just(" %}"), Just("secret('crm')"), Just(".api_key"), Just("|"),
        Just("json"), Just("for a in "), Just("endfor"), Just("if "), Just("endif"), Just("a"), Just("\n"), Just("+"),
        Just("'"), Just("("), Just(")"), Just("[0]"), Just("int"), Just("1"),
    ], 0..12)) {
        let text = parts.concat();
        let looked = looked(&text);
        if let Err(error) = render(&text, secrets()) {
            prop_assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
        } else {
            let by_name = looked.as_ref().is_err_and(|said| said.contains("there is no"));
            prop_assert!(looked.is_ok() || by_name, "{text}: rendered, and refused: {looked:?}");
        }
    }

    #[test]
    fn base64_and_quotes_are_read_back(value in any::<String>()) {
        let secrets = Secrets::from([("s".to_owned(), [("v".to_owned(), Sensitive::from(value.as_str()))].into())]);
        let all = "{{ secret('s').v|b64encode|b64decode }}\0{{ {'v': secret('s').v}|json|fromjson|json }}";
        let text = render(all, secrets).unwrap();
        let (plain, json) = text.expose().rsplit_once('\0').unwrap();
        prop_assert_eq!(plain, value.as_str());
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        prop_assert_eq!(json["v"].as_str(), Some(value.as_str()));
    }
}
