use clap::Args;
use tomte_wire::control::RouteStatus;

use crate::context::Context;
use crate::exit::Exit;
use crate::paint::{Paint, Tint};
use crate::table::{Cell, Table};

/// List the routes and what went through them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte routes")]
pub(crate) struct Routes {}

impl Routes {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let routes: Vec<RouteStatus> = context.control()?.get("/v1/routes")?;
        context.screen.show(&routes, |routes, paint| render(routes, paint))?;
        Ok(Exit::Ok)
    }
}

fn render(routes: &[RouteStatus], paint: Paint) -> String {
    let mut table = Table::new(["ROUTE", "FROM", "TOPIC", "TO", "MATCHED", "WHEN"]);
    for route in routes {
        table.row([
            Cell::tinted(Tint::Name, &route.name),
            route.from.join(", ").into(),
            Cell::tinted(Tint::Topic, &route.topic),
            route.to.as_str().into(),
            route.matched.to_string().into(),
            route.when.clone().unwrap_or_default().into(),
        ]);
    }
    if table.is_empty() {
        return "no routes: nothing is delivered; add [[routes]] to tomte.toml".to_owned();
    }
    table.render(paint)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn routes_are_a_table() {
        let route = |name: &str, when: Option<&str>| RouteStatus {
            name: name.to_owned(),
            from: vec!["device:a".to_owned(), "device:b".to_owned()],
            topic: "sensors/+".to_owned(),
            when: when.map(str::to_owned),
            to: "function:f".to_owned(),
            matched: 12,
        };
        expect![[r#"
            ROUTE      FROM                TOPIC      TO          MATCHED  WHEN
            hot        device:a, device:b  sensors/+  function:f  12       payload.celsius > 28
            routes[1]  device:a, device:b  sensors/+  function:f  12"#]]
        .assert_eq(&render(
            &[route("hot", Some("payload.celsius > 28")), route("routes[1]", None)],
            Paint::plain(),
        ));
    }
}
