//! Which keys of the variable `receiver` an expression asks for. A key that no device has is a slip that
//! would otherwise show only in messages that reach nobody.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

use super::check::RECEIVER;

/// Returns the key that this node, without those below it, asks a receiver for: `receiver.key`,
/// `has(receiver.key)`, `receiver["key"]` or `"key" in receiver`.
pub(super) fn asked_key(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Select(select) if is_receiver(&select.operand) => Some(&select.field),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX, [of, key]) if is_receiver(of) => literal_text(key),
            (operators::IN, [key, of]) if is_receiver(of) => literal_text(key),
            _ => None,
        },
        _ => None,
    }
}

fn is_receiver(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == RECEIVER)
}

fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::Condition;

    fn asked(text: &str) -> Vec<String> {
        let condition = Condition::compile_for_receiver(text).unwrap();
        condition.receiver_keys().map(str::to_owned).collect()
    }

    #[test]
    fn a_key_is_found_however_it_is_asked_for() {
        assert_eq!(asked("receiver.floor == 2.0"), ["floor"]);
        assert_eq!(asked("has(receiver.floor)"), ["floor"]);
        assert_eq!(asked("receiver['floor'] == 2.0"), ["floor"]);
        assert_eq!(asked("'floor' in receiver"), ["floor"]);
        assert_eq!(
            asked("levels[1] in receiver.codes || receiver.name == 'fan'"),
            ["codes", "name"]
        );
        assert_eq!(
            asked("receiver.codes.exists(c, c == payload.code && receiver.open)"),
            ["codes", "open"]
        );
    }

    #[test]
    fn what_is_no_key_of_a_receiver_is_left_out() {
        assert_eq!(asked("payload.floor == 2.0 && topic in payload.topics"), [""; 0]);
        assert_eq!(asked("receiver[topic] == 1.0"), [""; 0]);
        assert_eq!(asked("payload.all(receiver, receiver.floor == 2.0)"), [""; 0]);
    }
}
