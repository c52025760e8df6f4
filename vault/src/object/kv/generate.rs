//! Values that nobody chose.

use super::LARGEST;
use crate::sensitive::Sensitive;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// How a value is made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Recipe<'a> {
    pub(super) length: usize,
    pub(super) alphabet: &'a str,
    pub(super) classes: &'a [String],
}

impl Recipe<'_> {
    /// A new value: one character of each class, the others from the alphabet, in random order, all
    /// of a sort equally likely. Says what is wrong with the recipe where it can't be followed.
    pub(super) fn make(&self) -> Result<Sensitive<String>, String> {
        let Self {
            length,
            alphabet,
            classes,
        } = self;
        if *length == 0 || *length > LARGEST || *length < classes.len() {
            return Err(format!(
                "a length of {length}: expected 1 to {LARGEST}, and not less than the number of classes, {}",
                classes.len()
            ));
        }
        let alphabet = distinct(alphabet);
        if alphabet.is_empty() && *length > classes.len() {
            return Err("an empty alphabet".into());
        }
        let mut text: Zeroizing<Vec<char>> = Zeroizing::new(Vec::with_capacity(*length));
        for class in *classes {
            text.push(pick(&distinct(class))?.ok_or("an empty class of characters")?);
        }
        while text.len() < *length {
            text.extend(pick(&alphabet)?);
        }
        // Fisher and Yates.
        for last in (1..text.len()).rev() {
            text.swap(last, below(last + 1)?);
        }
        Ok(Sensitive::new(text.iter().collect()))
    }
}

/// Each character once: one that is written twice is not likelier.
fn distinct(characters: &str) -> Vec<char> {
    let set: BTreeSet<char> = characters.chars().collect();
    set.into_iter().collect()
}

fn pick(characters: &[char]) -> Result<Option<char>, String> {
    if characters.is_empty() {
        return Ok(None);
    }
    Ok(characters.get(below(characters.len())?).copied())
}

/// A number below `end`, which is not 0, all equally likely: what would favour the small ones is
/// drawn again.
fn below(end: usize) -> Result<usize, String> {
    let end = u64::try_from(end).map_err(|_| "too many characters")?;
    let whole = u64::MAX - u64::MAX % end;
    let random = SystemRandom::new();
    let mut bytes = Zeroizing::new([0; 8]);
    loop {
        random
            .fill(&mut *bytes)
            .map_err(|_| "the system gives no random numbers")?;
        let number = u64::from_ne_bytes(*bytes);
        if number < whole {
            return usize::try_from(number % end).map_err(|_| "too many characters".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn classes(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_class_is_there_and_the_length_is_right() {
        let (alphabet, classes) = ("abcdefABCDEF0123", classes(&["0123456789", "ABC", "!"]));
        for length in [3, 4, 32] {
            let recipe = Recipe {
                length,
                alphabet,
                classes: &classes,
            };
            for _ in 0..200 {
                let made = recipe.make().unwrap();
                let text = made.expose();
                assert_eq!(text.chars().count(), length);
                for class in &classes {
                    assert!(text.contains(|letter| class.contains(letter)), "{text} {class}");
                }
            }
        }
    }

    /// With 3 characters a plain remainder of a byte would be off by 1 in 85; here each place is
    /// right within five deviations.
    #[test]
    fn every_character_is_equally_likely_at_every_place() {
        let recipe = Recipe {
            length: 4,
            alphabet: "abca",
            classes: &[],
        };
        let mut counts: BTreeMap<(usize, char), u32> = BTreeMap::new();
        for _ in 0..9000 {
            for place in recipe.make().unwrap().expose().chars().enumerate() {
                *counts.entry(place).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 12);
        for (place, count) in counts {
            assert!((2776..=3224).contains(&count), "{place:?}: {count}");
        }
    }

    #[test]
    fn a_class_may_stand_anywhere() {
        let classes = classes(&["0"]);
        let recipe = Recipe {
            length: 3,
            alphabet: "x",
            classes: &classes,
        };
        let seen: BTreeSet<String> = (0..200)
            .map(|_| recipe.make().unwrap().expose().clone())
            .collect();
        assert_eq!(seen, ["0xx", "x0x", "xx0"].map(str::to_owned).into());
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let digits = classes(&["0", "1"]);
        let why = |length, alphabet, classes| {
            Recipe {
                length,
                alphabet,
                classes,
            }
            .make()
            .unwrap_err()
        };
        assert!(why(0, "a", &[]).contains("length of 0"));
        assert!(why(usize::MAX, "a", &[]).contains("length of"));
        assert!(why(1, "a", &digits).contains("number of classes, 2"));
        assert!(why(3, "", &digits).contains("empty alphabet"));
        assert!(why(3, "a", &[String::new()]).contains("empty class"));
    }
}
