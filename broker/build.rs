//! Builds RocksDB once for every profile, clone and branch.
//!
//! Crate `librocksdb-sys` compiles 343 files at -O3, again for each profile: 12 minutes on two cores, twice. Here the same
//! sources (they come with that crate) are compiled as a dozen large files at -O2 with hardware checksums, about 4 minutes,
//! into `$MILLRACE_CACHE_DIR`, by default `~/.cache/millrace`, under a key of all that went into them.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// How many translation units: enough to fill the cores, few enough that each header is parsed seldom.
const UNITS: usize = 12;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=MILLRACE_CACHE_DIR");
    let crate_dir = PathBuf::from(env("DEP_ROCKSDB_CARGO_MANIFEST_DIR"));
    let build = compiler(&crate_dir);
    let folder = cache_dir().join(format!("rocksdb-{:016x}", key(&build, &crate_dir)));
    fs::create_dir_all(&folder).expect("the cache folder can be created");
    // Two cargo processes (an editor's and a shell's) must not build into the same folder.
    let lock = fs::File::create(folder.join("lock")).expect("the lock file can be created");
    lock.lock().expect("the lock file can be locked");
    let archive = folder.join("librocksdb.a");
    if !archive.exists() {
        let scratch = folder.join("build");
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).expect("the build folder can be created");
        compile(build, &crate_dir, &scratch);
        fs::rename(scratch.join("librocksdb.a"), &archive).expect("the archive can be moved");
        let _ = fs::remove_dir_all(&scratch);
    }
    println!("cargo:rerun-if-changed={}", archive.display());
    println!("cargo:rustc-link-search=native={}", folder.display());
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn cache_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    var("MILLRACE_CACHE_DIR")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("millrace")))
        .or_else(|| var("HOME").map(|home| home.join(".cache/millrace")))
        .unwrap_or_else(|| PathBuf::from(env("OUT_DIR")))
}

fn compiler(crate_dir: &Path) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .opt_level(2)
        .debug(false)
        .warnings(false)
        .pic(true)
        .cargo_metadata(false)
        // A sanitizer of the Rust code (fuzzing) must not cost another build of RocksDB.
        .inherit_rustflags(false)
        .std("c++20")
        .flag("-w")
        .flag("-include")
        .flag("cstdint")
        .include(crate_dir)
        .include(crate_dir.join("rocksdb/include"))
        .include(crate_dir.join("rocksdb"));
    for name in [
        "NDEBUG",
        "HAVE_ALIGNED_NEW",
        "HAVE_UINT128_EXTENSION",
        "ROCKSDB_PLATFORM_POSIX",
        "ROCKSDB_LIB_IO_POSIX",
    ] {
        build.define(name, None);
    }
    match env("CARGO_CFG_TARGET_OS").as_str() {
        "macos" => {
            build.define("OS_MACOSX", None);
        }
        _ => {
            for name in [
                "OS_LINUX",
                "ROCKSDB_SCHED_GETCPU_PRESENT",
                "ROCKSDB_AUXV_GETAUXVAL_PRESENT",
                "ROCKSDB_FALLOCATE_PRESENT",
                "ROCKSDB_RANGESYNC_PRESENT",
            ] {
                build.define(name, None);
            }
        }
    }
    match env("CARGO_CFG_TARGET_ARCH").as_str() {
        // Every x86-64 machine since 2010; without it RocksDB's CRC32C is a table look-up.
        "x86_64" => {
            build.flag("-msse4.2").flag("-mpclmul");
        }
        "aarch64" => {
            build.flag("-march=armv8-a+crc+crypto");
        }
        _ => {}
    }
    build
}

fn key(build: &cc::Build, crate_dir: &Path) -> u64 {
    let tool = build.get_compiler();
    let version = tool
        .to_command()
        .arg("--version")
        .output()
        .expect("the C++ compiler runs")
        .stdout;
    let mut hasher = DefaultHasher::new();
    (version, tool.args(), UNITS, env("TARGET")).hash(&mut hasher);
    crate_dir.file_name().hash(&mut hasher);
    hasher.finish()
}

fn compile(mut build: cc::Build, crate_dir: &Path, scratch: &Path) {
    let list = fs::read_to_string(crate_dir.join("rocksdb_lib_sources.txt"))
        .expect("the crate lists its sources");
    // The crate ships its own build_version.cc beside the list.
    let sources: Vec<&str> = list
        .lines()
        .map(str::trim)
        .filter(|s| !s.is_empty() && *s != "util/build_version.cc")
        .collect();
    let size =
        |source: &str| fs::metadata(crate_dir.join("rocksdb").join(source)).map_or(0, |m| m.len());
    let total: u64 = sources.iter().map(|s| size(s)).sum();
    let mut units = vec![String::new(); UNITS];
    let mut seen = 0;
    for source in sources {
        let unit = (seen * UNITS as u64 / total.max(1)) as usize;
        units[unit.min(UNITS - 1)].push_str(&format!("#include \"{source}\"\n"));
        seen += size(source);
    }
    for (i, unit) in units.iter().enumerate() {
        let path = scratch.join(format!("unit{i}.cc"));
        fs::write(&path, unit).expect("a unit can be written");
        build.file(path);
    }
    build.file(crate_dir.join("build_version.cc"));
    build.out_dir(scratch).compile("rocksdb");
}
