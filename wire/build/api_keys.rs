//! `ApiKey`, one line for each api, and `for_each_api`.

use crate::table::{Api, Versions};
use std::fmt::Write;

pub fn generate(apis: &[Api]) -> String {
    let mut code = String::from("api_keys! {\n");
    for api in apis {
        let Versions { first, last } = api.stable;
        // No version is flexible where the first flexible one is past the last.
        let flexible = match api.request.flexible() {
            Versions::NONE => i16::MAX,
            versions => versions.first,
        };
        let (name, key) = (&api.name, api.key);
        assert_eq!(
            api.request.flexible(),
            api.response.flexible(),
            "{name}: one first flexible version for both directions"
        );
        add!(code, "    {name} = {key}, {first}, {last}, {flexible};");
    }
    code.push_str("}\n");
    code.push_str(
        "/// Calls a macro with every api that has a version and its request: `{ Produce ProduceRequest, ... }`.\n\
         #[macro_export]\n\
         macro_rules! for_each_api { ($callback:ident) => { $callback! {\n",
    );
    for api in apis.iter().filter(|api| api.stable != Versions::NONE) {
        add!(code, "    {} {},", api.name, api.request.name);
    }
    code.push_str("} }; }\n");
    code
}
