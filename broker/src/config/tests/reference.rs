//! The page in docs/reference is what the tables say today.

use crate::config::reference;
use std::path::Path;

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/settings.md");
    let page = reference::page();
    if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
        let folder = path.parent().expect("the page lies in a folder");
        std::fs::create_dir_all(folder).expect("the folder of the reference can be made");
        std::fs::write(&path, &page).expect("the reference can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/reference/settings.md is stale; run: \
         MILLRACE_WRITE_DOCS=1 cargo test -p millrace-broker --lib config::tests::reference"
    );
}
