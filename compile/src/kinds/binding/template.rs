//! The texts of `Template` files: in the binding, or in ConfigMaps of its namespace.

use crate::{Key, Problem, World};
use keystead_crds::SecretBinding;
use keystead_crds::binding::{ConfigMapKeyReference, FileSpec, LONGEST_TEMPLATE, SecretBindingSpec};
use keystead_crds::condition::Reason;
use std::collections::BTreeSet;

/// What is wrong with the templates that stand in the binding, if anything.
pub(super) fn inline(spec: &SecretBindingSpec) -> Option<String> {
    spec.files.iter().find_map(|file| {
        let error = check(spec, file.template.as_ref()?).err()?;
        Some(format!("spec.files[{}].template: {error}", file.path))
    })
}

/// The ConfigMaps that a binding takes templates from.
pub fn config_maps<'a>(key: &'a Key, binding: &'a SecretBinding) -> impl Iterator<Item = Key> + 'a {
    let named = binding.spec.files.iter().filter_map(reference);
    named.map(|named| Key::new(&key.namespace, &named.name))
}

/// The keys of a ConfigMap that bindings take templates from.
pub fn wanted(world: &World, config_map: &Key) -> BTreeSet<String> {
    let bindings = world.bindings_in(&config_map.namespace);
    let named = bindings.flat_map(|(_, binding)| binding.spec.files.iter().filter_map(reference));
    named
        .filter(|named| named.name == config_map.name)
        .map(|named| named.key.clone())
        .collect()
}

/// Whether the templates that a binding takes from ConfigMaps are there and can work; none while one of
/// them was not read yet.
pub fn check_sources(world: &World, key: &Key, binding: &SecretBinding) -> Option<Result<(), Problem>> {
    for file in &binding.spec.files {
        let Some(named) = reference(file) else { continue };
        let found = source(world, &key.namespace, named)?.and_then(|text| {
            check(&binding.spec, text).map_err(|error| {
                let message = format!("ConfigMap {}, key {}: {error}", named.name, named.key);
                Problem::new(Reason::Invalid, message)
            })
        });
        if let Err(Problem { reason, message }) = found {
            let message = format!("spec.files[{}].templateFrom: {message}", file.path);
            return Some(Err(Problem::new(reason, message)));
        }
    }
    Some(Ok(()))
}

/// The text of a file's template, as far as it is known.
pub(in crate::kinds) fn text<'a>(world: &'a World, namespace: &str, file: &'a FileSpec) -> Option<&'a str> {
    match &file.template {
        Some(text) => Some(text),
        None => source(world, namespace, reference(file)?)?.ok(),
    }
}

fn source<'a>(
    world: &'a World,
    namespace: &str,
    named: &ConfigMapKeyReference,
) -> Option<Result<&'a str, Problem>> {
    let texts = match world.texts(&Key::new(namespace, &named.name))? {
        Ok(texts) => texts,
        Err(problem) => return Some(Err(problem.clone())),
    };
    let missing = || {
        Problem::new(
            Reason::NotFound,
            format!("ConfigMap {} has no key {}", named.name, named.key),
        )
    };
    let text = match texts.get(&named.key) {
        // A key that another binding asks for by now may not have been looked at.
        None => return None,
        Some(text) => text.as_deref().ok_or_else(missing),
    };
    Some(text.and_then(|text| {
        if text.chars().count() <= LONGEST_TEMPLATE {
            return Ok(text);
        }
        let message = format!(
            "ConfigMap {}, key {}: a template has up to {LONGEST_TEMPLATE} characters, and this one has more",
            named.name, named.key
        );
        Err(Problem::new(Reason::Invalid, message))
    }))
}

fn reference(file: &FileSpec) -> Option<&ConfigMapKeyReference> {
    Some(&file.template_from.as_ref()?.config_map_key_ref)
}

/// Whether a template can work in a binding.
fn check(spec: &SecretBindingSpec, text: &str) -> Result<(), keystead_template::Error> {
    keystead_template::check(text, |name| {
        let secret = spec.secrets.iter().find(|secret| secret.name == name)?;
        Some(secret.keys.as_slice())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{binding, provider, world};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn sourced() -> SecretBinding {
        let mut binding = binding("shop", "web", "p", "web", "hubspot");
        let from = json!({"configMapKeyRef": {"name": "conf", "key": "app"}});
        let file = json!({"path": "app.conf", "format": "Template", "templateFrom": from});
        binding.spec.files = vec![serde_json::from_value(file).unwrap()];
        binding
    }

    fn said(texts: Option<crate::world::Texts>) -> Option<Result<(), String>> {
        let mut world = world([provider("p")], []);
        let binding = sourced();
        world.set_binding(Key::of(&binding), Some(Arc::new(binding.clone())));
        world.set_texts(&Key::new("shop", "conf"), texts);
        let checked = check_sources(&world, &Key::of(&binding), &binding)?;
        Some(checked.map_err(|problem| format!("{} {problem}", problem.reason.as_str())))
    }

    fn holds(key: &str, text: Option<&str>) -> BTreeMap<String, Option<String>> {
        [(key.to_owned(), text.map(str::to_owned))].into()
    }

    #[test]
    fn a_template_elsewhere_is_looked_at_once_it_is_read() {
        assert_eq!(said(None), None, "not read yet");
        assert_eq!(
            said(Some(Ok(holds("other", Some(""))))),
            None,
            "read for another key only"
        );
        assert_eq!(
            said(Some(Ok(holds("app", Some("{{ secret('hubspot').k }}"))))),
            Some(Ok(()))
        );
        let told = |texts| said(Some(texts)).unwrap().unwrap_err();
        assert_eq!(
            told(Ok(holds("app", None))),
            "NotFound spec.files[app.conf].templateFrom: ConfigMap conf has no key app"
        );
        assert_eq!(
            told(Ok(holds("app", Some("a\n{{ secret('hr').k }}")))),
            "Invalid spec.files[app.conf].templateFrom: ConfigMap conf, key app: line 2: secret(\"hr\") must be the \
             name of an entry of spec.secrets"
        );
        assert_eq!(
            told(Err(Problem::not_found("ConfigMap", "conf"))),
            "NotFound spec.files[app.conf].templateFrom: ConfigMap conf not found"
        );
        let long = "é".repeat(LONGEST_TEMPLATE + 1);
        assert!(told(Ok(holds("app", Some(&long)))).contains("a template has up to 32768 characters"));
    }

    #[test]
    fn the_keys_of_all_bindings_are_wanted() {
        let mut world = world([provider("p")], []);
        let conf = Key::new("shop", "conf");
        assert!(wanted(&world, &conf).is_empty());
        let binding = sourced();
        world.set_binding(Key::of(&binding), Some(Arc::new(binding.clone())));
        assert_eq!(wanted(&world, &conf), ["app".to_owned()].into());
        assert!(wanted(&world, &Key::new("other", "conf")).is_empty());
        assert_eq!(
            config_maps(&Key::of(&binding), &binding).collect::<Vec<_>>(),
            [conf]
        );
    }
}
