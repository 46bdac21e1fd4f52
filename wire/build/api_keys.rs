//! `ApiKey`: one line for each api.

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
        writeln!(code, "    {name} = {key}, {first}..={last}, {flexible};").expect("into a string");
    }
    code.push_str("}\n");
    code
}
