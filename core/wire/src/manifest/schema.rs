use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::written;

/// Returns the JSON Schema of the manifest, for editors and for programs that write manifests.
#[must_use]
pub fn json_schema() -> Json {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<written::Manifest>();
    let mut schema = schema.to_value();
    drop_null(&mut schema);
    schema["title"] = "The manifest of a Tomte hub".into();
    schema
}

/// Optional keys may be left out; TOML has no null that they could be set to.
fn drop_null(schema: &mut Json) {
    match schema {
        Json::Object(keys) => {
            if let Some(Json::Array(types)) = keys.get_mut("type") {
                types.retain(|name| name != "null");
                if let [single] = types.as_slice() {
                    let single = single.clone();
                    keys.insert("type".to_owned(), single);
                }
            }
            if let Some(Json::Array(all)) = keys.get_mut("anyOf") {
                all.retain(|schema| schema["type"] != "null");
                if let [single] = all.as_mut_slice() {
                    let single = single.take();
                    keys.remove("anyOf");
                    if let Json::Object(single) = single {
                        for (key, value) in single {
                            keys.entry(key).or_insert(value);
                        }
                    }
                }
            }
            if keys.get("default") == Some(&Json::Null) {
                keys.remove("default");
            }
            keys.values_mut().for_each(drop_null);
        }
        Json::Array(items) => items.iter_mut().for_each(drop_null),
        _ => {}
    }
}
