//! Bodies of requests.

use crate::decoder::{self, one};
use millrace_wire::{ApiKey, decode_request, for_each_api, messages};

pub fn run(input: &[u8]) -> bool {
    decoder::run(input, any)
}

pub fn seeds() -> Vec<Vec<u8>> {
    decoder::seeds("request")
}

macro_rules! apis {
    ($($api:ident $request:ident,)*) => {
        fn any(api: ApiKey, version: i16, body: &[u8]) -> bool {
            match api {
                $(ApiKey::$api => one(decode_request::<messages::$request>, version, body),)*
                _ => false,
            }
        }
    };
}

for_each_api!(apis);
