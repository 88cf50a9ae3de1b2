use std::collections::BTreeMap;

use crate::CodeLimits;

/// Links that may be followed on the way to one target, as Linux allows.
const MAX_HOPS: u32 = 40;
/// Parts of paths that may be looked at for all links of one archive together.
const MAX_STEPS: u32 = 1_000_000;

/// Why a link cannot be part of a folder of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// Following it leads out of the folder.
    #[error("it leads out of the folder")]
    Escapes,
    /// It begins at the root of the machine.
    #[error("its target is absolute")]
    Absolute,
    /// Its target is empty, too long, or holds a character that paths must not have.
    #[error("its target is not a path")]
    BadTarget,
    /// Following it, or all links together, takes too many steps.
    #[error("following it takes too many steps")]
    TooManySteps,
}

/// What stands at a path, for finding out where links lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    File,
    Link { target: String },
}

/// What a folder holds: plain paths to what stands there. Folders above are among them.
pub(crate) type Tree = BTreeMap<String, Node>;

/// Checks the text of a target.
pub(crate) fn check_target(target: &str, limits: &CodeLimits) -> Result<(), LinkProblem> {
    if target.starts_with('/') {
        return Err(LinkProblem::Absolute);
    }
    let too_long = target.len() > limits.path_bytes || target.split('/').count() > limits.depth;
    if target.is_empty() || too_long || target.chars().any(char::is_control) {
        return Err(LinkProblem::BadTarget);
    }
    Ok(())
}

/// Checks where every link of `tree` leads: following links on the way, as the system would. A
/// target inside that does not exist is allowed. On refusal says which link.
pub(crate) fn check_links(tree: &Tree) -> Result<(), (String, String, LinkProblem)> {
    let mut steps = MAX_STEPS;
    for (path, node) in tree {
        if let Node::Link { target } = node {
            follow(tree, path, target, &mut steps)
                .map_err(|problem| (path.clone(), target.clone(), problem))?;
        }
    }
    Ok(())
}

fn follow(tree: &Tree, path: &str, target: &str, steps: &mut u32) -> Result<(), LinkProblem> {
    let mut place: Vec<&str> = path.split('/').collect();
    place.pop();
    let mut ahead: Vec<&str> = target.rsplit('/').collect();
    let mut hops = 0;
    while let Some(part) = ahead.pop() {
        *steps = steps.checked_sub(1).ok_or(LinkProblem::TooManySteps)?;
        match part {
            "" | "." => continue,
            ".." => {
                place.pop().ok_or(LinkProblem::Escapes)?;
                continue;
            }
            name => place.push(name),
        }
        if let Some(Node::Link { target }) = tree.get(&place.join("/")) {
            hops += 1;
            if hops > MAX_HOPS {
                return Err(LinkProblem::TooManySteps);
            }
            place.pop();
            ahead.extend(target.rsplit('/'));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(links: &[(&str, &str)], expect: Result<(), LinkProblem>) {
        let mut tree = Tree::new();
        for folder in ["a", "a/b", "a/b/c"] {
            tree.insert(folder.to_owned(), Node::Folder);
        }
        tree.insert("a/file".to_owned(), Node::File);
        for (path, target) in links {
            tree.insert((*path).to_owned(), Node::Link { target: (*target).to_owned() });
        }
        let found = check_links(&tree).map_err(|(_, _, problem)| problem);
        assert_eq!(found, expect, "{links:?}");
    }

    #[test]
    fn links_that_stay_inside_are_allowed() {
        check(&[("l", "a/file")], Ok(()));
        check(&[("a/l", "../a/./b//c/../..")], Ok(()));
        check(&[("a/b/l", "../..")], Ok(()));
        check(&[("l", "not/there")], Ok(()));
        check(&[("l", "a/b"), ("m", "l/c")], Ok(()));
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        check(&[("l", "..")], Err(LinkProblem::Escapes));
        check(&[("a/l", "../../x")], Err(LinkProblem::Escapes));
        check(&[("a/l", "b/../../../x")], Err(LinkProblem::Escapes));
    }

    #[test]
    fn a_link_that_leads_out_by_way_of_another_is_refused() {
        // By its text alone "a/b/q/.." is the folder a/b; by way of q it is above the root.
        check(&[("a/b/q", "../.."), ("p", "a/b/q/../x")], Err(LinkProblem::Escapes));
    }

    #[test]
    fn links_in_a_circle_are_refused() {
        check(&[("l", "m"), ("m", "l")], Err(LinkProblem::TooManySteps));
        check(&[("l", "l/x")], Err(LinkProblem::TooManySteps));
    }

    #[test]
    fn a_target_must_be_a_relative_path_within_the_limits() {
        let limits = CodeLimits { path_bytes: 8, depth: 3, ..CodeLimits::default() };
        assert_eq!(check_target("a/b/c", &limits), Ok(()));
        assert_eq!(check_target("/a", &limits), Err(LinkProblem::Absolute));
        for bad in ["", "a\0", "a/b/c/d", "123456789"] {
            assert_eq!(check_target(bad, &limits), Err(LinkProblem::BadTarget), "{bad:?}");
        }
    }
}
