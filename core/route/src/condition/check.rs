use std::collections::BTreeSet;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators,
};
use cel::common::types::CelBool;
use cel::{IdedExpr, Program};

use super::evaluate::round_variable;
use super::receiver_keys::asked_key;
use super::work::{Extent, Work};
use super::{
    ConditionError, ConditionErrorReason as Reason, MAX_BRACKETS, MAX_DEPTH, MAX_MACROS, MAX_MARKS,
    MAX_TEXT_BYTES,
};
use crate::nearest;

/// The variables of a condition.
pub(super) const VARIABLES: [&str; 6] =
    ["payload", "topic", "levels", "source", "size", "properties"];

/// The variable that the choice of a message rule has besides.
pub(super) const RECEIVER: &str = "receiver";

/// Names that stand for types, to be compared with what `type()` yields.
const TYPES: [&str; 8] = ["bool", "int", "uint", "double", "string", "list", "map", "null_type"];

/// Functions and how each is called: on a value, with it as the argument, or either way.
const FUNCTIONS: [(&str, Form, &str); 10] = [
    ("contains", Form::OnValue, "text.contains(part)"),
    ("startsWith", Form::OnValue, "text.startsWith(part)"),
    ("endsWith", Form::OnValue, "text.endsWith(part)"),
    ("size", Form::Either, "size(value)"),
    ("int", Form::Plain, "int(value)"),
    ("uint", Form::Plain, "uint(value)"),
    ("double", Form::Plain, "double(value)"),
    ("string", Form::Plain, "string(value)"),
    ("bool", Form::Plain, "bool(value)"),
    ("type", Form::Plain, "type(value)"),
];

/// Names that the parser replaces before the check sees them.
const MACROS: [(&str, &str); 6] = [
    ("has", "has(payload.key)"),
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("existsOne", "list.existsOne(x, condition)"),
    ("filter", "list.filter(x, condition)"),
];

/// What the parser makes of operators.
const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    OnValue,
    Either,
}

pub(super) fn function_names() -> Vec<&'static str> {
    let functions = FUNCTIONS.iter().map(|(name, ..)| *name);
    functions.chain(MACROS.iter().map(|(name, _)| *name)).collect()
}

/// Checks what must hold before the parser may see the text.
pub(super) fn check_text(text: &str) -> Result<(), ConditionError> {
    let error = |at, reason| Err(ConditionError::at(text, at, reason));
    if text.len() > MAX_TEXT_BYTES {
        return error(0, Reason::TooLong { length: text.len() });
    }
    let (mut marks, mut open) = (0, 0_usize);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        marks += usize::from("()[]{}+-*/%!<>=&|?:.,".contains(character));
        if open > MAX_BRACKETS {
            return error(at, Reason::TooDeep);
        }
        if marks > MAX_MARKS {
            return error(at, Reason::TooManyMarks);
        }
    }
    Ok(())
}

/// What the check found out about an expression.
pub(super) struct Checked {
    pub(super) expression: IdedExpr,
    pub(super) once: Work,
    pub(super) rounds: Vec<Work>,
    pub(super) reads_payload: bool,
    pub(super) receiver_keys: BTreeSet<String>,
}

/// Checks that the program uses what conditions have, and measures what it costs.
pub(super) fn check_program(
    text: &str,
    program: &Program,
    has_receiver: bool,
) -> Result<Checked, ConditionError> {
    let mut expression = program.expression().clone();
    let mut check = Check {
        text,
        program,
        has_receiver,
        depth: 0,
        loop_variables: Vec::new(),
        work: Work::default(),
        rounds: Vec::new(),
        reads_payload: false,
        receiver_keys: BTreeSet::new(),
    };
    check.expression(&mut expression)?;
    if let Some(what) = other_than_boolean(&expression.expr) {
        return Err(check.error(expression.id, Reason::NotBoolean { what }));
    }
    let Check { work, rounds, reads_payload, receiver_keys, .. } = check;
    Ok(Checked { expression, once: work, rounds, reads_payload, receiver_keys })
}

struct Check<'a> {
    text: &'a str,
    program: &'a Program,
    has_receiver: bool,
    depth: usize,
    /// The variables of the loops around, and what each loop goes over.
    loop_variables: Vec<(String, Extent)>,
    work: Work,
    rounds: Vec<Work>,
    reads_payload: bool,
    receiver_keys: BTreeSet<String>,
}

impl Check<'_> {
    fn error(&self, id: u64, reason: Reason) -> ConditionError {
        let start = self.program.source_info().offset_for(id).map_or(0, |(start, _)| start);
        ConditionError::at(self.text, usize::try_from(start).unwrap_or(0), reason)
    }

    /// The parser places a call at its bracket; people look for its name.
    fn error_of_call(&self, id: u64, name: &str, reason: Reason) -> ConditionError {
        let mut error = self.error(id, reason);
        let line = self.text.lines().nth(error.line - 1).unwrap_or_default();
        let before: String = line.chars().take(error.column - 1).collect();
        if before.trim_end().ends_with(name) {
            error.column = before.trim_end().chars().count() - name.chars().count() + 1;
        }
        error
    }

    fn expression(&mut self, node: &mut IdedExpr) -> Result<Extent, ConditionError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(node.id, Reason::TooDeep));
        }
        self.depth += 1;
        self.work.steps += 1;
        let is_receiver_hidden = self.loop_variables.iter().any(|(name, _)| name == RECEIVER);
        if let Some(key) = asked_key(node).filter(|_| !is_receiver_hidden) {
            self.receiver_keys.insert(key.to_owned());
        }
        let extent = self.kind_of_expression(node);
        self.depth -= 1;
        extent
    }

    fn kind_of_expression(&mut self, node: &mut IdedExpr) -> Result<Extent, ConditionError> {
        match &mut node.expr {
            Expr::Literal(_) => Ok(Extent::Narrow),
            Expr::Ident(name) => {
                let name = name.clone();
                self.identifier(node.id, &name)
            }
            Expr::Select(select) => {
                let operand = self.expression(&mut select.operand)?;
                Ok(if select.test { Extent::Narrow } else { operand })
            }
            Expr::Call(call) => self.call(node.id, call),
            Expr::Comprehension(comprehension) => self.comprehension(node.id, comprehension),
            Expr::List(list) => self.elements(list.elements.iter_mut()),
            Expr::Map(map) => self.elements(map.entries.iter_mut().flat_map(key_and_value)),
            Expr::Struct(_) => {
                Err(self.error(node.id, Reason::NotOffered { what: "messages such as Name{...}" }))
            }
            Expr::Unspecified => {
                Err(self.error(node.id, Reason::NotOffered { what: "empty expressions" }))
            }
        }
    }

    fn identifier(&mut self, id: u64, name: &str) -> Result<Extent, ConditionError> {
        if let Some(at) = self.loop_variables.iter().rposition(|(variable, _)| variable == name) {
            let innermost = at + 1 == self.loop_variables.len();
            return Ok(match self.loop_variables[at].1 {
                Extent::Narrow => Extent::Narrow,
                _ if innermost => Extent::Item,
                _ => Extent::Wide,
            });
        }
        match name {
            "payload" => {
                self.reads_payload = true;
                Ok(Extent::Wide)
            }
            "levels" | "properties" => Ok(Extent::Wide),
            RECEIVER if self.has_receiver => Ok(Extent::Wide),
            "topic" | "source" | "size" => Ok(Extent::Narrow),
            _ if TYPES.contains(&name) || name.starts_with('@') => Ok(Extent::Narrow),
            _ => {
                let others = self.has_receiver.then_some(RECEIVER);
                let nearest = nearest(name, VARIABLES.into_iter().chain(others)).map(str::to_owned);
                Err(self.error(id, Reason::UnknownVariable { name: name.to_owned(), nearest }))
            }
        }
    }

    /// A list or map copies what it is made of.
    fn elements<'e>(
        &mut self,
        elements: impl Iterator<Item = &'e mut IdedExpr>,
    ) -> Result<Extent, ConditionError> {
        let mut widest = Extent::Narrow;
        for element in elements {
            let extent = self.expression(element)?;
            self.work.charge(extent);
            widest = widest.max(extent);
        }
        Ok(widest)
    }

    fn call(&mut self, id: u64, call: &mut CallExpr) -> Result<Extent, ConditionError> {
        if !is_operator(&call.func_name) && call.func_name != operators::NOT_STRICTLY_FALSE {
            self.function(id, call)?;
        }
        let mut extents = Vec::new();
        for operand in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
            extents.push(self.expression(operand)?);
        }
        let widest = extents.iter().copied().max().unwrap_or(Extent::Narrow);
        match call.func_name.as_str() {
            operators::CONDITIONAL => Ok(widest),
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE => Ok(Extent::Narrow),
            operators::INDEX => {
                let by_literal = call.args.get(1).is_some_and(is_literal);
                self.work.charge(if by_literal { Extent::Narrow } else { widest });
                Ok(extents.first().copied().unwrap_or(Extent::Narrow))
            }
            operators::ADD | "string" => {
                self.work.charge(widest);
                Ok(widest)
            }
            name => {
                let cheap = is_cheap_comparison(name, &call.args);
                self.work.charge(if cheap { Extent::Narrow } else { widest });
                Ok(Extent::Narrow)
            }
        }
    }

    fn function(&self, id: u64, call: &CallExpr) -> Result<(), ConditionError> {
        let name = call.func_name.clone();
        let refuse = |reason| Err(self.error_of_call(id, &call.func_name, reason));
        if name == "map" {
            return refuse(Reason::NotOffered { what: "map()" });
        }
        if let Some((_, form)) = MACROS.iter().find(|(of, _)| *of == name) {
            return refuse(Reason::WrongCall { name, form });
        }
        let Some((_, form, example)) = FUNCTIONS.iter().find(|(of, ..)| *of == name) else {
            let nearest = nearest(&name, function_names()).map(str::to_owned);
            return refuse(Reason::UnknownFunction { name, nearest });
        };
        let right = match (call.target.is_some(), call.args.len()) {
            (false, 1) => *form != Form::OnValue,
            (true, 1) => *form == Form::OnValue,
            (true, 0) => *form == Form::Either,
            _ => false,
        };
        if right { Ok(()) } else { refuse(Reason::WrongCall { name, form: example }) }
    }

    fn comprehension(
        &mut self,
        id: u64,
        comprehension: &mut ComprehensionExpr,
    ) -> Result<Extent, ConditionError> {
        let Some(kind) = Macro::of(comprehension) else {
            return Err(self.error_of_call(id, "map", Reason::NotOffered { what: "map()" }));
        };
        if self.loop_variables.len() == MAX_MACROS {
            return Err(self.error(id, Reason::TooManyMacros));
        }
        let range = self.expression(&mut comprehension.iter_range)?;
        let outside = std::mem::take(&mut self.work);
        self.loop_variables.push((comprehension.iter_var.clone(), range));
        self.expression(&mut comprehension.loop_cond)?;
        self.expression(&mut comprehension.loop_step)?;
        self.loop_variables.pop();
        let body = std::mem::replace(&mut self.work, outside);
        self.work.charge_loop(range, body);
        let number = self.rounds.len();
        self.rounds.push(body);
        kind.charge_each_round(comprehension, number);
        Ok(if kind == Macro::Filter { range } else { Extent::Narrow })
    }
}

/// The macros as the shapes that the parser makes of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Macro {
    /// `@result && condition`
    All,
    /// `@result || condition`
    Exists,
    /// `condition ? @result + 1 : @result`
    ExistsOne,
    /// `condition ? @result + [x] : @result`
    Filter,
}

impl Macro {
    fn of(comprehension: &ComprehensionExpr) -> Option<Self> {
        let Expr::Call(step) = &comprehension.loop_step.expr else { return None };
        match (step.func_name.as_str(), step.args.as_slice()) {
            (operators::LOGICAL_AND, [_, _]) => Some(Self::All),
            (operators::LOGICAL_OR, [_, _]) => Some(Self::Exists),
            (operators::CONDITIONAL, [_, then, _]) => {
                let Expr::Call(add) = &then.expr else { return None };
                match &add.args.get(1)?.expr {
                    Expr::Literal(_) => Some(Self::ExistsOne),
                    Expr::List(list) => match list.elements.as_slice() {
                        [item] if is_identifier(item, &comprehension.iter_var) => {
                            Some(Self::Filter)
                        }
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Makes the condition of a round `@roundN ? condition : false`. The library looks `@roundN` up
    /// in each round, and the condition is not evaluated when the budget refuses it.
    fn charge_each_round(self, comprehension: &mut ComprehensionExpr, number: usize) {
        let at = match self {
            Self::All | Self::Exists => 1,
            Self::ExistsOne | Self::Filter => 0,
        };
        let Expr::Call(step) = &mut comprehension.loop_step.expr else { return };
        let Some(condition) = step.args.get_mut(at) else { return };
        let id = condition.id;
        let guarded = std::mem::take(condition);
        let node = |expr| IdedExpr { id, expr };
        let no = Expr::Literal(LiteralValue::Boolean(CelBool::from(false)));
        *condition = node(Expr::Call(CallExpr {
            func_name: operators::CONDITIONAL.to_owned(),
            target: None,
            args: vec![node(Expr::Ident(round_variable(number))), guarded, node(no)],
        }));
    }
}

fn key_and_value(entry: &mut IdedEntryExpr) -> Vec<&mut IdedExpr> {
    match &mut entry.expr {
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
        EntryExpr::StructField(field) => vec![&mut field.value],
    }
}

fn is_operator(name: &str) -> bool {
    OPERATORS.contains(&name)
}

fn is_literal(node: &IdedExpr) -> bool {
    matches!(node.expr, Expr::Literal(_))
}

fn is_identifier(node: &IdedExpr, expect: &str) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == expect)
}

/// A comparison with a literal looks at one value, however much the other side holds.
fn is_cheap_comparison(name: &str, operands: &[IdedExpr]) -> bool {
    let is_cheap_with = |at: usize| operands.get(at).is_some_and(is_literal);
    match name {
        operators::EQUALS | operators::NOT_EQUALS => is_cheap_with(0) || is_cheap_with(1),
        operators::LESS
        | operators::LESS_EQUALS
        | operators::GREATER
        | operators::GREATER_EQUALS => is_cheap_with(1),
        _ => false,
    }
}

/// Returns what the expression yields when that is certainly not true or false.
fn other_than_boolean(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Literal(LiteralValue::Boolean(_)) => None,
        Expr::Literal(LiteralValue::String(_)) => Some("a text"),
        Expr::Literal(LiteralValue::Null) => Some("null"),
        Expr::Literal(LiteralValue::Bytes(_)) => Some("bytes"),
        Expr::Literal(_) => Some("a number"),
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Ident(name) => match name.as_str() {
            "topic" | "source" => Some("a text"),
            "size" => Some("a number"),
            "levels" => Some("a list"),
            "properties" => Some("a map"),
            name if TYPES.contains(&name) => Some("a type"),
            _ => None,
        },
        Expr::Call(call) => match call.func_name.as_str() {
            operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | operators::NEGATE
            | "size"
            | "int"
            | "uint"
            | "double" => Some("a number"),
            operators::ADD => Some("a number, text or list"),
            "string" => Some("a text"),
            "type" => Some("a type"),
            _ => None,
        },
        Expr::Comprehension(comprehension) => match Macro::of(comprehension) {
            Some(Macro::Filter) => Some("a list"),
            _ => None,
        },
        Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified => None,
    }
}
