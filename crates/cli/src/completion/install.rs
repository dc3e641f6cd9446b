//! The link by which kubectl finds the completion, and scripts for shells.

use std::path::Path;

use super::NAME;
use crate::args::CompletionWhat;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Screen;

const BASH: &str = r#"_kubectl_leadsman() {
  local value
  COMPREPLY=()
  while IFS=$'\t' read -r value _; do
    [[ $value == :* ]] || COMPREPLY+=("$value")
  done < <(kubectl-leadsman __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _kubectl_leadsman kubectl-leadsman
"#;

const ZSH: &str = r#"#compdef kubectl-leadsman
_kubectl_leadsman() {
  local -a offers
  local value description
  while IFS=$'\t' read -r value description; do
    [[ $value == :* ]] || offers+=("${value//:/\\:}${description:+:$description}")
  done < <(kubectl-leadsman __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe 'kubectl-leadsman' offers
}
compdef _kubectl_leadsman kubectl-leadsman
"#;

const FISH: &str = r#"complete -c kubectl-leadsman -f -a '(kubectl-leadsman __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null | string match -v ":*")'
"#;

const POWERSHELL: &str = r#"Register-ArgumentCompleter -Native -CommandName kubectl-leadsman -ScriptBlock {
  param($word, $ast, $position)
  $words = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if (-not $word) { $words += '' }
  kubectl-leadsman __complete @words 2>$null | Where-Object { $_ -notlike ':*' } | ForEach-Object {
    $value, $description = $_ -split "`t", 2
    if (-not $description) { $description = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $description)
  }
}
"#;

/// Prints the script of a shell, for direct use of `kubectl-leadsman`.
///
/// # Errors
/// Where it cannot be written.
pub fn script(screen: &mut Screen, what: CompletionWhat) -> Outcome {
    let script = match what {
        CompletionWhat::Bash => BASH,
        CompletionWhat::Zsh => ZSH,
        CompletionWhat::Fish => FISH,
        CompletionWhat::Powershell => POWERSHELL,
        CompletionWhat::Install => return install(screen),
    };
    screen.write(script)?;
    Ok(Exit::Done)
}

/// Makes the link beside this program, and says so.
///
/// # Errors
/// Where something else has that name, or the folder cannot be written.
pub fn install(screen: &mut Screen) -> Outcome {
    let program = std::env::current_exe().map_err(|error| failed(&error, Path::new(NAME)))?;
    let link = program.with_file_name(format!("{NAME}{}", std::env::consts::EXE_SUFFIX));
    if std::fs::read_link(&link).is_ok_and(|target| program.ends_with(&target) || target == program) {
        screen.line(&format!("{} is there already", link.display()))?;
        return Ok(Exit::Done);
    }
    make(&program, &link).map_err(|error| failed(&error, &link))?;
    screen.line(&format!("{} -> {}", link.display(), program.display()))?;
    screen.note("kubectl leadsman TAB completes now, in shells in which kubectl does");
    Ok(Exit::Done)
}

#[cfg(unix)]
fn make(program: &Path, link: &Path) -> std::io::Result<()> {
    // Relative, so that the folder may be moved.
    let name = program.file_name().ok_or_else(|| std::io::Error::other("this program has no name"))?;
    std::os::unix::fs::symlink(name, link)
}

#[cfg(not(unix))]
fn make(program: &Path, link: &Path) -> std::io::Result<()> {
    std::fs::hard_link(program, link)
}

fn failed(error: &std::io::Error, link: &Path) -> Failure {
    Failure::new(Exit::Unknown, format!("cannot make {}: {error}", link.display()))
        .advise("make that link yourself, in any folder of PATH, to this program")
}
