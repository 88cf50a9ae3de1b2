//! Circles of functions: A's output leads to B, B's output back to A.
//!
//! A function's output, be it its result on `result_topic` or what it publishes, goes where the
//! routes from that function go and nowhere else. So a route from A to B is all it takes for A to
//! lead to B; its topic and condition only decide for which messages. Routes with `allow_cycle` are
//! left out: a circle through one of them is meant.

use std::collections::{BTreeSet, VecDeque};

use tomte_base::{FunctionName, Source};

use crate::table::label;
use crate::{Declared, Destination, RouteSpec};

/// One way from a function to a function.
#[derive(Clone, Copy)]
struct Edge {
    route: usize,
    to: usize,
}

/// Returns for each circle the route that closes it and the whole path, functions and routes in
/// turn. Circles that share a function with one already found are left for the next attempt.
pub(crate) fn find_cycles(specs: &[RouteSpec], declared: &Declared) -> Vec<(usize, Vec<String>)> {
    let names: Vec<&FunctionName> = declared.functions.keys().collect();
    let edges: Vec<Vec<Edge>> = names.iter().map(|name| edges_from(name, &names, specs)).collect();
    let mut open: BTreeSet<usize> = (0..names.len()).collect();
    let mut cycles = Vec::new();
    for start in 0..names.len() {
        if !open.contains(&start) {
            continue;
        }
        if let Some(path) = shortest_circle(start, &edges, &open) {
            cycles.push(describe(start, &path, &names, specs));
            for edge in path {
                open.remove(&edge.to);
            }
        } else {
            open.remove(&start);
        }
    }
    cycles
}

fn edges_from(name: &FunctionName, names: &[&FunctionName], specs: &[RouteSpec]) -> Vec<Edge> {
    let source = Source::Function(name.clone());
    let taken = |spec: &&RouteSpec| spec.from.iter().any(|pattern| pattern.matches(&source));
    let edge = |(route, spec): (usize, &RouteSpec)| match &spec.to {
        Destination::Function(to) if !spec.allow_cycle && taken(&spec) => {
            names.binary_search(&to).ok().map(|to| Edge { route, to })
        }
        _ => None,
    };
    specs.iter().enumerate().filter_map(edge).collect()
}

/// Returns the shortest way from `start` back to itself through `open` functions.
fn shortest_circle(start: usize, edges: &[Vec<Edge>], open: &BTreeSet<usize>) -> Option<Vec<Edge>> {
    let mut reached_by: Vec<Option<(usize, Edge)>> = vec![None; edges.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(from) = queue.pop_front() {
        for edge in &edges[from] {
            if open.contains(&edge.to) && reached_by[edge.to].is_none() {
                reached_by[edge.to] = Some((from, *edge));
                if edge.to == start {
                    return Some(walk_back(start, &reached_by));
                }
                queue.push_back(edge.to);
            }
        }
    }
    None
}

fn walk_back(start: usize, reached_by: &[Option<(usize, Edge)>]) -> Vec<Edge> {
    let mut path = Vec::new();
    let mut at = start;
    while let Some((from, edge)) = reached_by[at] {
        path.push(edge);
        at = from;
        if at == start {
            break;
        }
    }
    path.reverse();
    path
}

fn describe(
    start: usize,
    path: &[Edge],
    names: &[&FunctionName],
    specs: &[RouteSpec],
) -> (usize, Vec<String>) {
    let mut text = vec![format!("function:{}", names[start])];
    for edge in path {
        text.push(label(edge.route, specs[edge.route].name.as_ref()));
        text.push(format!("function:{}", names[edge.to]));
    }
    let closing = path.last().map_or(0, |edge| edge.route);
    (closing, text)
}
