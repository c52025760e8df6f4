use super::*;
use crate::ProviderFacts;
use crate::fixtures::{binding, company, global, provider, world};
use keystead_crds::binding::EnvSpec;
use serde_json::json;
use std::sync::Arc;

fn shop(bindings: impl IntoIterator<Item = SecretBinding>) -> World {
    let mut world = world(
        [provider("p"), provider("q")],
        [global("g", "p"), company("acme", "p", "acme", 1)],
    );
    world.set_facts(
        "p",
        ProviderFacts {
            ca: Some("PEM".into()),
            ..ProviderFacts::default()
        },
    );
    world.set_namespace("shop", Some([("company".to_owned(), "acme".to_owned())].into()));
    for binding in bindings {
        world.set_binding(Key::of(&binding), Some(Arc::new(binding)));
    }
    world
}

fn with_env(mut binding: SecretBinding, name: &str) -> SecretBinding {
    binding.spec.env = vec![EnvSpec {
        name: name.into(),
        secret: "hubspot".into(),
        key: "api_key".into(),
    }];
    binding
}

#[test]
fn a_pod_gets_the_bindings_of_its_account() {
    let world = shop([with_env(binding("shop", "b", "p", "web", "hubspot"), "KEY")]);
    let Ok(Bound::Yes(secrets)) = compile(&world, "shop", "web", &BTreeMap::new()) else {
        panic!()
    };
    assert_eq!(secrets.bindings, ["b"]);
    assert_eq!(secrets.config.env[0].secret, "b/hubspot");
    let scopes: Vec<_> = secrets
        .config
        .vault
        .scopes
        .iter()
        .map(|scope| scope.level)
        .collect();
    assert_eq!(scopes, [Level::Node, Level::Company, Level::Global]);
    assert_eq!(secrets.config.vault.role, "keystead.c1.p.s.shop.web");
    assert_eq!(compile(&world, "shop", "other", &BTreeMap::new()), Ok(Bound::No));
    assert_eq!(
        compile(&world, "elsewhere", "web", &BTreeMap::new()),
        Ok(Bound::No)
    );
}

#[test]
fn what_is_not_known_yet_gives_no_wrong_answer() {
    let mut world = shop([binding("shop", "b", "p", "web", "hubspot")]);
    world.set_namespace("shop", None);
    assert_eq!(
        compile(&world, "shop", "web", &BTreeMap::new()),
        Ok(Bound::NotYet),
        "it may belong to a company"
    );
    let world = shop([binding("shop", "b", "q", "web", "hubspot")]);
    assert_eq!(
        compile(&world, "shop", "web", &BTreeMap::new()),
        Ok(Bound::NotYet),
        "its CA is not read yet"
    );
}

#[test]
fn two_bindings_must_not_give_one_variable() {
    let [one, two] = ["one", "two"].map(|name| with_env(binding("shop", name, "p", "web", "hubspot"), "KEY"));
    let problem = compile(&shop([one, two]), "shop", "web", &BTreeMap::new()).unwrap_err();
    assert_eq!(
        problem.message,
        "SecretBindings one and two both give the pod the variable KEY: rename one"
    );
}

fn with_selector(mut binding: SecretBinding, tier: &str) -> SecretBinding {
    let selector = json!({"matchLabels": {"tier": tier}});
    binding.spec.pod_selector = Some(serde_json::from_value(selector).unwrap());
    binding
}

#[test]
fn a_pod_is_shown_what_selects_it() {
    let labels = |tier: &str| BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
    let [front, back] = [("f", "front"), ("b", "back")].map(|(name, tier)| {
        with_selector(
            with_env(binding("shop", name, "p", "web", "hubspot"), "KEY"),
            tier,
        )
    });
    let world = shop([front.clone(), back.clone()]);
    let found = |world: &World, tier: &str| match compile(world, "shop", "web", &labels(tier)) {
        Ok(Bound::Yes(secrets)) => secrets.bindings.join(" "),
        Ok(Bound::Unselected(names)) => format!("not {}", names.join(" ")),
        other => panic!("{other:?}"),
    };
    assert_eq!(found(&world, "front"), "f");
    assert_eq!(found(&world, "back"), "b");
    assert_eq!(found(&world, "other"), "not b f");
    for (key, binding) in [(Key::of(&front), front), (Key::of(&back), back)] {
        assert_eq!(
            binding::check(&world, &key, &binding),
            Ok(()),
            "no pod has both labels"
        );
    }
    let everybody = with_env(binding("shop", "e", "p", "web", "openai"), "OTHER");
    let world = shop([everybody]);
    assert_eq!(found(&world, "front"), "e");
    assert_eq!(found(&world, "other"), "e");
}

#[test]
fn two_bindings_that_select_one_pod_are_compared_there() {
    let one = with_selector(
        with_env(binding("shop", "one", "p", "web", "hubspot"), "KEY"),
        "front",
    );
    let two = with_env(binding("shop", "two", "p", "web", "hubspot"), "KEY");
    let world = shop([one, two]);
    let labels = |tier: &str| BTreeMap::from([("tier".to_owned(), tier.to_owned())]);
    assert!(matches!(
        compile(&world, "shop", "web", &labels("back")),
        Ok(Bound::Yes(_))
    ));
    let problem = compile(&world, "shop", "web", &labels("front")).unwrap_err();
    assert_eq!(problem.reason, Reason::Conflict);
}

#[test]
fn environments_never_mix_in_a_pod() {
    let world = shop([
        binding("shop", "one", "p", "web", "a"),
        binding("shop", "two", "q", "web", "a"),
    ]);
    assert!(
        compile(&world, "shop", "web", &BTreeMap::new())
            .unwrap_err()
            .message
            .contains("two providers")
    );
}

#[test]
fn a_template_elsewhere_is_waited_for_and_followed() {
    let mut bound = binding("shop", "b", "p", "web", "hubspot");
    let from = json!({"configMapKeyRef": {"name": "conf", "key": "app"}});
    let file = json!({"path": "app.conf", "format": "Template", "templateFrom": from});
    bound.spec.files = vec![serde_json::from_value(file).unwrap()];
    let mut world = shop([bound]);
    let conf = Key::new("shop", "conf");
    let compiled = |world: &World| compile(world, "shop", "web", &BTreeMap::new());
    assert_eq!(compiled(&world), Ok(Bound::NotYet));
    world.set_texts(&conf, Some(Err(Problem::not_found("ConfigMap", "conf"))));
    let said = compiled(&world).unwrap_err().message;
    assert_eq!(
        said,
        "SecretBinding b: spec.files[app.conf].templateFrom: ConfigMap conf not found"
    );
    for text in ["first", "second"] {
        let texts = [("app".to_owned(), Some(text.to_owned()))].into();
        assert!(world.set_texts(&conf, Some(Ok(texts))), "it changed");
        let Ok(Bound::Yes(secrets)) = compiled(&world) else {
            panic!()
        };
        let template = secrets.config.files[0].template.as_ref().unwrap();
        assert_eq!((&*template.text, &*template.prefix), (text, "b/"));
    }
}

#[test]
fn a_file_says_who_is_told_else_its_binding_does() {
    let mut bound = binding("shop", "b", "p", "web", "hubspot");
    let file = |path: &str, on_change| {
        let file = json!({"path": path, "format": "Dotenv", "secret": "hubspot", "onChange": on_change});
        serde_json::from_value(file).unwrap()
    };
    let signal = json!({"signal": {"name": "SIGUSR1", "container": "web"}});
    bound.spec.files = vec![
        file("a", json!(null)),
        file("b", signal),
        file("c", json!({"none": {}})),
    ];
    let told = |bound: &SecretBinding| {
        let Ok(Bound::Yes(secrets)) = compile(&shop([bound.clone()]), "shop", "web", &BTreeMap::new()) else {
            panic!()
        };
        json!(
            secrets
                .config
                .files
                .into_iter()
                .map(|file| file.on_change)
                .collect::<Vec<_>>()
        )
    };
    let signal = json!({"signal": {"name": "SIGUSR1", "container": "web"}});
    assert_eq!(told(&bound), json!([null, signal, null]));
    bound.spec.on_change = serde_json::from_value(json!({"http": {"port": 65535}})).unwrap();
    let call = json!({"http": {"port": 65535, "path": "/"}});
    assert_eq!(told(&bound), json!([call, signal, null]));
}
