//! Quantities as Kubernetes writes them, to be compared.

/// Billionths in one.
const ONE: u128 = 1_000_000_000;

/// A quantity such as `10m` or `1.5Gi` in billionths; none for what is no quantity, or below zero.
pub fn parse(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit = unit(suffix)?;
    let whole = digits(whole)?.checked_mul(unit)?;
    let fraction = fraction.trim_end_matches('0');
    let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // What is less than a billionth counts as one, as Kubernetes has it.
    let rest = digits(fraction)?.checked_mul(unit)?.div_ceil(parts);
    whole.checked_add(rest)
}

/// The same in whole bytes, of what is too much as many as there can be.
pub fn bytes(text: &str) -> Option<u64> {
    Some(u64::try_from(parse(text)? / ONE).unwrap_or(u64::MAX))
}

/// Bytes as a quantity in `Mi`, or in `Ki` where that is not even; what is less than one is left out.
pub fn in_binary(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{}Mi", bytes >> 20)
    } else {
        format!("{}Ki", bytes >> 10)
    }
}

fn digits(text: &str) -> Option<u128> {
    if text.is_empty() {
        return Some(0);
    }
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn unit(suffix: &str) -> Option<u128> {
    Some(match suffix {
        "n" => 1,
        "u" => ONE / 1_000_000,
        "m" => ONE / 1_000,
        "" => ONE,
        "k" => ONE * 1_000,
        "M" => ONE * 1_000_000,
        "G" => ONE * 1_000_000_000,
        "T" => ONE * 1_000_000_000_000,
        "P" => ONE * 1_000_000_000_000_000,
        "E" => ONE * 1_000_000_000_000_000_000,
        "Ki" => ONE << 10,
        "Mi" => ONE << 20,
        "Gi" => ONE << 30,
        "Ti" => ONE << 40,
        "Pi" => ONE << 50,
        "Ei" => ONE << 60,
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_u128.checked_pow(u32::try_from(exponent + 9).ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_can_be_compared() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("16Mi", "16777216"),
            ("1e3", "1k"),
            ("1E3", "1k"),
            ("2e-3", "2m"),
            ("1E", "1000P"),
            (".5", "0.50"),
            ("1u", "1000n"),
            ("0.1n", "1n"),
        ] {
            assert_eq!(parse(one), parse(other), "{one} {other}");
            assert!(parse(one).is_some(), "{one}");
        }
        for [less, more] in [["10m", "0.1"], ["16M", "16Mi"], ["8Mi", "16Mi"], ["1Ti", "1Pi"]] {
            assert!(parse(less) < parse(more), "{less} {more}");
        }
    }

    #[test]
    fn bytes_are_whole() {
        assert_eq!(bytes("1.5Ki"), Some(1536));
        assert_eq!((bytes("1500m"), bytes("20E")), (Some(1), Some(u64::MAX)));
        for (bytes, wanted) in [(32 << 20, "32Mi"), ((1 << 20) + 1025, "1025Ki"), (5, "0Ki")] {
            assert_eq!(in_binary(bytes), wanted);
        }
    }

    #[test]
    fn what_is_none_is_none() {
        for bad in [
            "", ".", "m", "-1", "+1", "1.2.3", "1 Mi", "1mi", "1KI", "1e", "1e99", "1e-10", "ten", "0x10",
            "9e30",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
