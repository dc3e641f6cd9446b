//! Writes the CRDs into `crds/`: what `cargo xtask crds` runs.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    std::fs::create_dir_all(&directory)?;
    for (name, yaml) in leadsman_api::crds::crds()? {
        std::fs::write(directory.join(&name), yaml)?;
        println!("crds/{name}");
    }
    Ok(())
}
