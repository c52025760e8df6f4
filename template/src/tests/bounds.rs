//! Templates that would make more than there is memory for.

use super::*;

/// The largest that this process has been, in KiB.
fn largest() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn again(times: usize, text: &str) -> String {
    text.repeat(times)
}

#[test]
fn nothing_on_the_way_grows_without_a_bound() {
    let start = "{% set a = secret('crm').api_key %}";
    let raw = "x".repeat(20_000);
    let before = largest();
    for (text, line) in [
        (again(60, "{% set a = a ~ a %}"), "line 1"),
        (again(60, "{% set a = a + a %}"), "line 1"),
        (again(60, "{% set a = a * 1000 %}"), "line 1"),
        (again(60, "{% set a = 1000 * a %}"), "line 1"),
        (
            again(60, "{% set b %}{{ a }}{{ a }}{% endset %}{% set a = b %}"),
            "line 1",
        ),
        (
            again(
                60,
                "{% set a %}{% filter upper %}{{ a }}{{ a }}{% endfilter %}{% endset %}",
            ),
            "line 1",
        ),
        (
            again(60, "{% set a = a|urlencode|replace('%', '%25%25') ~ '%' %}"),
            "line 1",
        ),
        (again(60, "{% set a = a|b64encode %}"), "line 1"),
        (
            again(60, "{% set a = [a]|json %}") + &again(60, "{% set a = a|json %}"),
            "line 1",
        ),
        (again(60, "{% set a = [a, a] %}") + "\n{{ a ~ '' }}", "line 2"),
        (again(60, "{% set a = [a, a] %}") + "\n{{ a|json }}", "line 2"),
        (again(60, "{% set a = [a, a] %}") + "\n{{ a|join }}", "line 2"),
        (again(60, "{% set a = [a, a] %}") + "\n{{ a }}", "line 2"),
        (
            again(30, "{% set a = [a] + [a] %}") + &again(60, "{% set a = a + a %}"),
            "line 1",
        ),
        (
            again(16, "{% set a = a ~ a %}") + &again(500, "{% set b = a[:] %}{% set a = b %}"),
            "line 1",
        ),
        (
            again(14, "{% set a = a ~ a %}") + "{{ a|replace('u', a) }}",
            "line 1",
        ),
        (
            "{{ a|replace('', a * 10)|replace('', a * 1000)|replace('', a * 1000) }}".to_owned(),
            "line 1",
        ),
        ("{{ range(20000)|join(a * 1000) }}".to_owned(), "line 1"),
        ("{{ 'a\\nb\\nc'|indent(1000000000) }}".to_owned(), "line 1"),
        (
            format!("{{% set b %}}{{% for i in range(30000) %}}{raw}{{% endfor %}}{{% endset %}}"),
            "line 1",
        ),
    ] {
        let said = rendered(&(start.to_owned() + &text)).unwrap_err();
        let bound =
            said.contains("what it makes is larger than 1 MiB") || said.contains("larger than 16 MiB in all");
        assert!(
            bound && said.starts_with(line),
            "{said}: {}",
            &text[..text.len().min(120)]
        );
    }
    let grown = largest() - before;
    assert!(grown < 200 << 10, "it took {grown} KiB");
}

#[test]
fn constants_are_looked_at_before_they_are_worked_out() {
    let before = largest();
    for text in [
        again(300, "{{ 'x' * 99999999 }}"),
        "{{ 'x' * 100 * 1000 * 1000 }}".to_owned(),
        "{{ 'x' * 10 ** 8 }}".to_owned(),
        "{{ 'x' * (0 or 99999999) }}".to_owned(),
        "{{ 'x' * (200000000 - 100000001) }}".to_owned(),
        "{{ ('x' * 1000000) ~ ('x' * 1000000) }}".to_owned(),
        "{{ ['x', 'y'] * 9999999 }}".to_owned(),
        "{% if 'x' * 99999999 %}{% endif %}".to_owned(),
        "{% for a in [1] if 'x' * 99999999 %}{% endfor %}".to_owned(),
        "{% with a = 'x' * 99999999 %}{% endwith %}".to_owned(),
        "{{ secret('crm').api_key|replace('a', 'x' * 99999999) }}".to_owned(),
        "{{ range('x' * 99999999) }}".to_owned(),
        "{{ {'a': 'x' * 99999999} }}".to_owned(),
        "{{ 1 if 'x' * 99999999 else 2 }}".to_owned(),
        "{{ not 'x' * 99999999 }}".to_owned(),
    ] {
        let wanted = || Err("line 1: what it makes is larger than 1 MiB".to_owned());
        assert_eq!(looked(&text), wanted(), "{}", &text[..text.len().min(80)]);
        assert_eq!(rendered(&text).map(drop), wanted());
    }
    let grown = largest() - before;
    assert!(grown < 50 << 10, "it took {grown} KiB");
    for (text, wanted) in [
        ("{{ '-' * 20 ~ 'x' }}", "--------------------x"),
        ("{{ '-' * (3 + 4 // 2) }}", "-----"),
        (
            "{{ 2 * 3 - -1 }} {{ 2 ** 3 }} {{ 7 % 4 }} {{ 'b' > 'a' }}",
            "7 8 3 True",
        ),
        ("{% for a in [1] * 3 %}{{ a }}{% endfor %}", "111"),
    ] {
        assert_eq!(rendered(text).as_deref(), Ok(wanted), "{text}");
    }
}
