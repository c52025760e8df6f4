//! `generate` → how a value is made.

use crate::Problem;
use keystead_crds::condition::Reason;
use keystead_crds::credential::{CharacterClass, Generate};
use keystead_vault::object::ValueRef;

/// How the value of a key is made.
pub(super) fn compile(key: &str, generate: &Generate) -> Result<ValueRef, Problem> {
    let invalid = |what: &str| {
        let message = format!("spec.keys[{key}].from.generate: {what}");
        Problem::new(Reason::Invalid, message)
    };
    let of_class = |class: &CharacterClass| class.characters();
    let alphabet = generate
        .alphabet
        .clone()
        .unwrap_or_else(|| generate.classes.iter().map(of_class).collect());
    if alphabet.is_empty() {
        return Err(invalid(
            "there is nothing to draw from: give it an alphabet or classes",
        ));
    }
    let classes = generate.classes.iter().map(|class| {
        let drawn: String = class
            .characters()
            .chars()
            .filter(|character| alphabet.contains(*character))
            .collect();
        if drawn.is_empty() {
            return Err(invalid(&format!(
                "alphabet has no character of class {class:?} ({}): add one, or leave the class out of classes",
                class.characters()
            )));
        }
        Ok(drawn)
    });
    Ok(ValueRef::Generate {
        length: generate.length.into(),
        classes: classes.collect::<Result<_, _>>()?,
        alphabet,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made(generate: Value) -> Result<(usize, String, Vec<String>), String> {
        let generate: Generate = serde_json::from_value(generate).map_err(|error| error.to_string())?;
        match compile("pin", &generate) {
            Ok(ValueRef::Generate {
                length,
                alphabet,
                classes,
            }) => Ok((length, alphabet, classes)),
            Ok(other) => panic!("{other:?}"),
            Err(problem) => {
                assert_eq!(problem.reason, Reason::Invalid);
                Err(problem.message)
            }
        }
    }

    #[test]
    fn classes_are_the_alphabet_where_there_is_none() {
        let (length, alphabet, classes) = made(json!({})).unwrap();
        assert_eq!((length, alphabet.len(), classes.len()), (32, 62, 3));
        let (_, alphabet, classes) = made(json!({"classes": ["Digit"]})).unwrap();
        assert_eq!(
            (alphabet.as_str(), classes),
            ("0123456789", vec![alphabet.clone()])
        );
    }

    #[test]
    fn classes_draw_from_the_alphabet_alone() {
        let made = made(json!({"alphabet": "abcxyz2345", "classes": ["Lower", "Digit"], "length": 12}));
        let classes = vec!["abcxyz".to_owned(), "2345".to_owned()];
        assert_eq!(made, Ok((12, "abcxyz2345".to_owned(), classes)));
    }

    #[test]
    fn what_cant_be_drawn_is_said() {
        let lacks = made(json!({"alphabet": "0123456789", "classes": ["Digit", "Upper"]})).unwrap_err();
        assert!(
            lacks.contains("spec.keys[pin].from.generate: alphabet has no character of class Upper (ABC"),
            "{lacks}"
        );
        let nothing = made(json!({"classes": []})).unwrap_err();
        assert!(nothing.contains("nothing to draw from"), "{nothing}");
    }
}
