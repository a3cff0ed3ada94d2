//! The manual and the completions of shells, which are made from the arguments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::haul::HAUL;
use crate::support::place::Place;

fn pages(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// After a change of arguments: `cargo run -- man docs/man`.
#[test]
fn the_manual_is_that_of_the_arguments() {
    let place = Place::new();
    place.run(&["man", "made"]).expect(0);
    let (made, kept) = (pages(&place.path().join("made")), pages(Path::new("docs/man")));
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&kept));
    for (name, page) in &made {
        assert!(*page == kept[name], "{name} differs");
    }
    assert_eq!(place.run(&["man"]).expect(0).stdout, made["haul.1"]);
}

#[test]
#[ignore = "needs the program man"]
fn man_program_reads_every_page_without_a_warning() {
    for name in pages(Path::new("docs/man")).keys() {
        let done = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(Path::new("docs/man").join(name))
            .env("MANWIDTH", "100")
            .output()
            .unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn bash_completes_nouns_verbs_and_options() {
    let place = Place::new();
    for (words, expected) in
        [("haul sp", "space"), ("haul space mig", "migrate"), ("haul cas migrate --memory-b", "--memory-budget-mb")]
    {
        let script = format!(
            "source <({HAUL} completions bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _haul haul \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let done = Command::new("bash").args(["-c", &script]).current_dir(place.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), expected, "{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn each_shell_has_its_completions() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(place.run(&["completions", shell]).expect(0).stdout.contains("migrate"), "{shell}");
    }
    place.run(&["completions", "tcsh"]).expect(2);
}
