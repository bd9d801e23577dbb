//! Writes the description for programs, `api/openapi.json`: from the table of routes, from the types that are sent and
//! answered, and from a sentence for each operation here. Nothing of it is in the product but the file, and a test
//! says when the file is no longer what would be written.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operator::{accounts, dns, domains, house, plans, queue};
use super::{BELOW, absence, account, addresses, life, mail, page};
use crate::routes::{Route, Who};
use crate::trouble::Problem;

/// Writes the file anew instead of comparing it.
const WRITE: &str = "HIKYAKU_WRITE_OPENAPI";

/// What is said of one operation, beside its route.
struct Operation {
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    query: Option<Value>,
    body: Option<Value>,
    answer: Option<Value>,
    /// Statuses of success.
    successes: &'static [u16],
    /// Whether it says what it changes by If-Match or If-None-Match.
    conditional: bool,
    /// Whether the answer has an ETag.
    tagged: bool,
}

/// All operations, with the schemas that they need.
struct Description {
    sent: SchemaGenerator,
    answered: SchemaGenerator,
    operations: Vec<Operation>,
}

impl Description {
    fn new() -> Description {
        let settings =
            || SchemaSettings::draft2020_12().with(|all| all.definitions_path = "/components/schemas".into());
        Description {
            sent: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
            operations: Vec::new(),
        }
    }

    fn operation(
        &mut self,
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> &mut Description {
        self.operations.push(Operation {
            method,
            path,
            id,
            summary,
            query: None,
            body: None,
            answer: None,
            successes: &[204],
            conditional: false,
            tagged: false,
        });
        self
    }

    fn get(&mut self, path: &'static str, id: &'static str, summary: &'static str) -> &mut Description {
        self.operation(Method::GET, path, id, summary)
    }
    fn put(&mut self, path: &'static str, id: &'static str, summary: &'static str) -> &mut Description {
        self.operation(Method::PUT, path, id, summary)
    }
    fn post(&mut self, path: &'static str, id: &'static str, summary: &'static str) -> &mut Description {
        self.operation(Method::POST, path, id, summary)
    }
    fn patch(&mut self, path: &'static str, id: &'static str, summary: &'static str) -> &mut Description {
        self.operation(Method::PATCH, path, id, summary)
    }
    fn delete(&mut self, path: &'static str, id: &'static str, summary: &'static str) -> &mut Description {
        self.operation(Method::DELETE, path, id, summary)
    }

    fn last(&mut self) -> &mut Operation {
        self.operations.last_mut().unwrap()
    }

    /// The query of the last operation.
    fn asks<T: JsonSchema>(&mut self) -> &mut Description {
        let schema = T::json_schema(&mut self.sent).to_value();
        self.last().query = Some(schema);
        self
    }

    /// The body of the last operation.
    fn sends<T: JsonSchema>(&mut self) -> &mut Description {
        let schema = self.sent.subschema_for::<T>().to_value();
        self.last().body = Some(schema);
        self
    }

    /// What the last operation answers.
    fn answers<T: JsonSchema>(&mut self) -> &mut Description {
        let schema = self.answered.subschema_for::<T>().to_value();
        self.last().answer = Some(schema);
        self.last().successes = &[200];
        self
    }

    /// The last operation makes something.
    fn makes(&mut self) -> &mut Description {
        self.last().successes = &[201];
        self
    }

    /// The last operation makes something, or changes it.
    fn saves(&mut self) -> &mut Description {
        self.last().successes = &[200, 201];
        self.conditional()
    }

    fn conditional(&mut self) -> &mut Description {
        let operation = self.last();
        operation.conditional = true;
        operation.tagged = operation.answer.is_some();
        self
    }

    fn tagged(&mut self) -> &mut Description {
        self.last().tagged = true;
        self
    }

    /// Each operation in a sentence.
    fn describe(&mut self) {
        self.get("/api/v1/openapi.json", "description", "This description.").answers::<Map<String, Value>>();
        self.get("/api/v1/account", "account", "What is known of your account.")
            .answers::<account::Account>();
        self.put("/api/v1/language", "set_language", "Sets the language in which you are written to.")
            .sends::<account::LanguageOrder>();
        self.get("/api/v1/logins", "logins", "Your last logins, by any service.")
            .answers::<account::Logins>();
        self.delete("/api/v1/windows", "close_windows", "Closes your relay windows.");
        self.get("/api/v1/app-passwords", "app_passwords", "Your app passwords.")
            .answers::<account::AppPasswords>();
        self.delete("/api/v1/app-passwords/{label}", "remove_app_password", "Revokes an app password.");
        self.get("/api/v1/trail", "trail", "What was changed of your account.")
            .asks::<account::Extent>()
            .answers::<account::Trail>();

        self.get("/api/v1/addresses", "addresses", "Your addresses that have instructions of their own.")
            .asks::<addresses::Search>()
            .answers::<addresses::Addresses>();
        self.get(
            "/api/v1/addresses/{address}",
            "address",
            "One address; one without instructions of its own too.",
        )
        .answers::<addresses::Sheet>()
        .tagged();
        self.put("/api/v1/addresses/{address}", "write_address", "Says what is done with an address's mail.")
            .sends::<addresses::Order>()
            .answers::<addresses::Saved>()
            .saves();
        self.patch("/api/v1/addresses/{address}", "change_address", "Changes a part of it.")
            .sends::<addresses::OrderChange>()
            .answers::<addresses::Saved>()
            .saves();
        self.delete("/api/v1/addresses/{address}", "remove_address", "Forgets an address's instructions.")
            .conditional();
        self.get(
            "/api/v1/addresses/{address}/results",
            "results",
            "What became of mail to its destinations.",
        )
        .answers::<addresses::Results>();
        self.post(
            "/api/v1/addresses/{address}/consent",
            "ask_consent",
            "Asks the owner of a destination again.",
        )
        .sends::<addresses::AskOrder>()
        .answers::<addresses::Saved>()
        .tagged();

        self.get("/api/v1/mail", "mail", "What came to your addresses and left from them.")
            .asks::<mail::Search>()
            .answers::<mail::Mail>();
        self.get("/api/v1/mail/{id}", "life", "What happened to one of your messages.")
            .answers::<life::Life>();

        self.get("/api/v1/absence", "absence", "Your answer while you are away.")
            .answers::<absence::Absence>();
        self.put("/api/v1/absence", "set_absence", "Sets it.")
            .sends::<absence::AbsenceOrder>()
            .answers::<absence::Absence>();

        self.describe_house();
        self.describe_directory();
        self.describe_queue();
    }

    fn describe_house(&mut self) {
        self.get("/api/v1/operator/counts", "counts", "How much there is.").answers::<house::HouseCounts>();
        self.get("/api/v1/operator/traffic", "traffic", "Traffic by the hour.")
            .asks::<house::Hours>()
            .answers::<house::Traffic>();
        self.get("/api/v1/operator/windows", "windows", "Open relay windows.")
            .asks::<house::WindowsWanted>()
            .answers::<house::Windows>();
        self.get("/api/v1/operator/search", "search", "Finds accounts, domains and addresses.")
            .asks::<house::Wanted>()
            .answers::<house::Findings>();
        self.get("/api/v1/operator/mail", "mail_of", "Mail from somebody and to him.")
            .asks::<house::MailOf>()
            .answers::<mail::Mail>();
        self.get(
            "/api/v1/operator/mail/{id}",
            "life_of",
            "What happened to a message and to what came of it.",
        )
        .answers::<life::Life>();
        self.get("/api/v1/operator/audit", "audit", "What was changed.")
            .asks::<house::TrailOf>()
            .answers::<account::Trail>();
    }

    fn describe_directory(&mut self) {
        self.get("/api/v1/operator/accounts", "accounts", "Accounts.")
            .asks::<accounts::Part>()
            .answers::<accounts::Accounts>();
        self.post("/api/v1/operator/accounts", "make_account", "Makes an account.")
            .sends::<accounts::AccountOrder>()
            .answers::<accounts::AccountLine>()
            .makes();
        self.get("/api/v1/operator/accounts/{name}", "account_of", "What is known of an account.")
            .answers::<account::Account>();
        self.patch("/api/v1/operator/accounts/{name}", "change_account", "Changes an account.")
            .sends::<accounts::AccountChange>();
        self.delete(
            "/api/v1/operator/accounts/{name}",
            "remove_account",
            "Removes an account; its mail stays where it is.",
        );
        self.put(
            "/api/v1/operator/accounts/{name}/state",
            "set_state",
            "Suspends an account, or resumes it.",
        )
        .sends::<accounts::StateOrder>();
        self.put(
            "/api/v1/operator/accounts/{name}/password",
            "set_password",
            "Gives an account another password.",
        )
        .sends::<accounts::PasswordOrder>();
        self.get("/api/v1/operator/accounts/{name}/addresses", "addresses_of", "An account's addresses.")
            .asks::<addresses::Search>()
            .answers::<addresses::Addresses>();
        self.delete(
            "/api/v1/operator/accounts/{name}/windows",
            "close_windows_of",
            "Closes an account's relay windows.",
        );

        self.get("/api/v1/operator/domains", "domains", "All domains.").answers::<domains::Domains>();
        self.post("/api/v1/operator/domains", "add_domain", "Hosts a domain.")
            .sends::<domains::Hosted>()
            .answers::<domains::Hosted>()
            .makes();
        self.get("/api/v1/operator/domains/{name}", "domain", "One domain.")
            .answers::<domains::DomainSheet>();
        self.delete("/api/v1/operator/domains/{name}", "remove_domain", "No longer hosts a domain.");
        self.put(
            "/api/v1/operator/domains/{name}/catch-all",
            "set_catch_all",
            "Says who receives what is for nobody.",
        )
        .sends::<domains::CatchAllOrder>();
        self.delete(
            "/api/v1/operator/domains/{name}/catch-all",
            "remove_catch_all",
            "Refuses what is for nobody.",
        );

        self.get(
            "/api/v1/operator/dns",
            "dns",
            "What is to stand in the DNS for this server, and whether it does.",
        )
        .answers::<dns::Records>();
        self.get("/api/v1/operator/domains/{name}/dns", "dns_of", "The same, for a domain.")
            .answers::<dns::Records>();

        self.get("/api/v1/operator/plans", "plans", "All plans.").answers::<plans::Plans>();
        self.put("/api/v1/operator/plans/{name}", "set_plan", "Makes a plan, or changes it.")
            .sends::<plans::PlanOrder>()
            .answers::<plans::Plan>();
        self.delete("/api/v1/operator/plans/{name}", "remove_plan", "Removes a plan.");
    }

    fn describe_queue(&mut self) {
        self.get("/api/v1/operator/queue", "queue", "Counts of the queue.").answers::<queue::QueueStats>();
        self.get("/api/v1/operator/queue/messages", "messages", "Messages that wait.")
            .asks::<queue::Listing>()
            .answers::<queue::Messages>();
        self.get("/api/v1/operator/queue/messages/{id}", "message", "One of them.")
            .answers::<queue::WaitingInFull>();
        self.get("/api/v1/operator/queue/counts", "queue_counts", "Counts by what messages have in common.")
            .asks::<queue::Counting>()
            .answers::<queue::QueueCounts>();
        self.post("/api/v1/operator/queue/acts", "act", "Does something with messages that wait.")
            .sends::<queue::ActOrder>()
            .answers::<queue::ActResult>();
        self.get(
            "/api/v1/operator/queue/destinations",
            "destinations",
            "How destinations of mail for other hosts do.",
        )
        .answers::<queue::Destinations>();
        self.post(
            "/api/v1/operator/queue/destinations/{name}/resume",
            "resume",
            "Tries a destination again that is left alone.",
        );
    }

    /// The whole document.
    fn document(mut self, table: &[Route]) -> Value {
        self.describe();
        let problem = self.answered.subschema_for::<Problem>().to_value();
        let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for operation in &self.operations {
            let route =
                table.iter().find(|route| route.path == operation.path && route.method == operation.method);
            let who =
                route.unwrap_or_else(|| panic!("{} {} is no route", operation.method, operation.path)).who;
            let method = operation.method.as_str().to_ascii_lowercase();
            let twice = paths.entry(operation.path).or_default().insert(method, operation.told(who));
            assert!(twice.is_none(), "{} {} is described twice", operation.method, operation.path);
        }
        let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
        for (name, schema) in
            self.sent.take_definitions(true).into_iter().chain(self.answered.take_definitions(true))
        {
            assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types are called {name}");
            if let Some(other) = schemas.insert(name.clone(), schema.clone()) {
                assert_eq!(other, schema, "{name} is sent otherwise than it is answered: make it two types");
            }
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Hikyaku",
                "version": "1",
                "description": "Your addresses, your mail and your account; and for operators, the server. \
                    A token is made on the page of your account. Troubles are told by RFC 9457, in the language of \
                    the account.",
            },
            "servers": [{"url": "/"}],
            "tags": [
                {"name": "member", "description": "Your own things."},
                {"name": "operator", "description": "What operators do."},
            ],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "responses": {
                    "problem": {
                        "description": "It is not done; this says why, and what to do.",
                        "content": {"application/problem+json": {"schema": problem}},
                    },
                },
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token of an account. Roles are its least scope: read, write or operate.",
                    },
                },
            },
        })
    }
}

impl Operation {
    fn told(&self, who: Who) -> Value {
        let is_operators = who == Who::OperatorToken;
        let mut told = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [if is_operators { "operator" } else { "member" }],
            "parameters": self.parameters(),
            "responses": self.responses(who),
        });
        let scope = match (who, &self.method) {
            (Who::Anybody, _) => None,
            (Who::OperatorToken, _) => Some("operate"),
            (_, &Method::GET) => Some("read"),
            _ => Some("write"),
        };
        told["security"] = scope.map_or(json!([]), |scope| json!([{"token": [scope]}]));
        if let Some(body) = &self.body {
            told["requestBody"] =
                json!({"required": true, "content": {"application/json": {"schema": body}}});
        }
        told
    }

    fn parameters(&self) -> Vec<Value> {
        let names = self.path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
        let mut all: Vec<Value> = names
            .map(|name| {
                let what = match name {
                    "address" => "An address of yours, such as foo@abc.pobox.example.",
                    "id" => "A message's name: 13 letters and digits.",
                    "label" => "The app password's label.",
                    _ => "Its name.",
                };
                json!({"name": name, "in": "path", "required": true, "description": what,
                    "schema": {"type": "string"}})
            })
            .collect();
        if let Some(query) = &self.query {
            let required: BTreeSet<&str> =
                query["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (name, schema) in query["properties"].as_object().into_iter().flatten() {
                let mut schema = schema.clone();
                let what = schema.as_object_mut().and_then(|schema| schema.remove("description"));
                without_null(&mut schema);
                all.push(json!({"name": name, "in": "query", "required": required.contains(&name[..]),
                    "description": what, "schema": schema}));
            }
        }
        if self.conditional {
            for (name, what) in [
                ("If-Match", "The ETag of the version that is changed; or *, whatever it is."),
                ("If-None-Match", "*: it has no instructions of its own yet. One of the two must be sent."),
            ] {
                all.push(
                    json!({"name": name, "in": "header", "description": what, "schema": {"type": "string"}}),
                );
            }
        }
        all
    }

    fn responses(&self, who: Who) -> Value {
        let mut all = Map::new();
        for status in self.successes {
            let mut response = json!({"description": if *status == 204 { "Done." } else { "As asked." }});
            if let Some(answer) = &self.answer {
                response["content"] = json!({"application/json": {"schema": answer}});
            }
            if self.tagged {
                response["headers"] = json!({"ETag": {"description": "Its version, for If-Match.",
                    "schema": {"type": "string"}}});
            }
            all.insert(status.to_string(), response);
        }
        let mut troubles = vec![406];
        if who != Who::Anybody {
            troubles.extend([401, 403, 408, 413, 422, 503]);
        }
        if self.body.is_some() {
            troubles.extend([400, 409, 415]);
        }
        if self.query.is_some() {
            troubles.push(400);
        }
        if self.conditional {
            troubles.extend([412, 428]);
        }
        if self.path.contains('{') {
            troubles.push(404);
        }
        for status in troubles {
            all.insert(status.to_string(), json!({"$ref": "#/components/responses/problem"}));
        }
        Value::Object(all)
    }
}

/// What may be left out of a query is not null where it is said.
fn without_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("default");
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            let kind = kind.clone();
            schema.insert("type".into(), kind);
        }
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        let real: Vec<Value> = choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
        if let [Value::Object(one)] = &real[..] {
            let one = one.clone();
            schema.remove("anyOf");
            schema.extend(one);
        }
    }
}

fn table() -> Vec<Route> {
    let house = crate::example::house();
    crate::routes(&house).table().iter().filter(|route| super::is_below(route.path)).cloned().collect()
}

#[test]
fn the_document_is_what_the_types_say() {
    let document = Description::new().document(&table());
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/api/openapi.json");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(file, &text).unwrap();
    } else {
        assert!(
            page::DOCUMENT == text,
            "api/openapi.json is out of date: run this test with {WRITE}=1, and look at it"
        );
    }
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let document: Value = serde_json::from_str(page::DOCUMENT).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(|method| (path.clone(), method.to_ascii_uppercase()))
        })
        .collect();
    let routes: BTreeSet<(String, String)> =
        table().into_iter().map(|route| (route.path.to_owned(), route.method.to_string())).collect();
    assert_eq!(described, routes);
    let ids: Vec<&Value> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|one| &one["operationId"])
        .collect();
    assert_eq!(
        ids.iter().map(|id| id.to_string()).collect::<BTreeSet<_>>().len(),
        ids.len(),
        "an operationId stands twice"
    );
    for route in table() {
        let public = route.who == Who::Anybody;
        let security = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()]["security"];
        assert_eq!(security == &json!([]), public, "{}", route.path);
        assert!(route.path.starts_with(BELOW));
    }
}
