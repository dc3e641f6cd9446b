//! What people call a revision: the tag of its image; with its number, where the images of both revisions are the same.

use leadsman_api::{ReportRevision, RevisionStatus};
use leadsman_core::text::{image_version, without_container};

use crate::model::Revision;

/// A revision of the status, told apart from another one.
pub fn of_status(revision: &RevisionStatus, beside: &[String]) -> Revision {
    told(&revision.hash, revision.revision, revision.commit.as_ref(), &revision.images, beside)
}

/// A revision of a report, told apart from another one.
pub fn of_report(revision: &ReportRevision, beside: &[String]) -> Revision {
    told(&revision.hash, revision.revision, revision.commit.as_ref(), &revision.images, beside)
}

fn told(hash: &str, number: i64, commit: Option<&String>, images: &[String], beside: &[String]) -> Revision {
    let differs = images.iter().find(|image| !beside.is_empty() && !beside.contains(image));
    let image = differs.or_else(|| images.first()).map(|image| without_container(image)).unwrap_or_default();
    let tag = if image.is_empty() { hash.to_owned() } else { image_version(image) };
    let is_same = !beside.is_empty() && differs.is_none() && !image.is_empty();
    let version = if is_same { format!("{tag} (revision {number})") } else { tag };
    Revision {
        hash: hash.to_owned(),
        revision: number,
        version,
        image: image.to_owned(),
        images: images.to_vec(),
        commit: commit.cloned(),
    }
}

/// A commit as people write it: the first seven characters of a hash.
pub fn short_commit(commit: &str) -> String {
    let is_hash = commit.len() >= 12 && commit.chars().all(|it| it.is_ascii_hexdigit());
    if is_hash { commit.chars().take(7).collect() } else { commit.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_tag_of_the_image_that_differs() {
        let version = |images: &[&str], beside: &[&str]| {
            let list = |images: &[&str]| images.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
            told("hash", 1, None, &list(images), &list(beside)).version
        };
        assert_eq!(version(&["a=r.example:5000/x/a:1.4.1", "b=b:2"], &[]), "1.4.1");
        assert_eq!(version(&["a=a:1", "b=b:3"], &["a=a:1", "b=b:2"]), "3");
        assert_eq!(version(&["a=a:1"], &["a=a:1"]), "1 (revision 1)");
        assert_eq!(version(&["a=r.example/a@sha256:0123456789abcdef"], &[]), "0123456789ab");
        assert_eq!(version(&["a=r.example:5000/a"], &[]), "a");
        assert_eq!(version(&[], &[]), "hash");
    }

    #[test]
    fn a_commit_is_shortened_where_it_is_a_hash() {
        assert_eq!(short_commit("3f2c9e1b5d0a4c7e8f9012345678901234567890"), "3f2c9e1");
        assert_eq!(short_commit("release-2026-11"), "release-2026-11");
    }
}
