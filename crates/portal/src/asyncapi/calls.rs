//! Calls: requests over the bus, and their replies.

use bus::Declarations;
use kernel::Section;
use serde_json::{Map, Value, json};

use super::proto_messages::ProtoMessage;
use super::{CALLS, message_reference};

/// The calls that one service makes to several others, at addresses of one form.
pub struct CallFamily {
    /// The beginning of the names of its channels, and of its addresses.
    pub name: &'static str,
    /// The package of its messages.
    package: &'static str,
    /// The service that calls.
    caller: &'static str,
    /// The form of the addresses.
    address: &'static str,
    description: &'static str,
}

/// All families.
pub const FAMILIES: [CallFamily; 2] = [
    CallFamily {
        name: "news",
        package: "portal.news.v1",
        caller: "orchestrator",
        address: "news.{section}.calls",
        description: "Calls to a section. Its replicas share them. A call whose deadline has passed is dropped.",
    },
    CallFamily {
        name: "exports",
        package: "portal.exports.v1",
        caller: "users",
        address: "exports.{service}",
        description: "Calls for a part of an export. The replicas of the service share them. A call whose deadline has passed is dropped.",
    },
];

impl CallFamily {
    /// Returns those of these calls that belong to the family.
    pub fn calls_of<'a>(&self, calls: &'a [CallMessage<'a>]) -> Vec<&'a CallMessage<'a>> {
        calls.iter().filter(|call| call.message.package == self.package).collect()
    }

    /// Returns the name of the channel of its calls.
    pub fn calls_channel(&self) -> String {
        format!("{}.calls", self.name)
    }

    /// Returns the name of the channel of its replies.
    pub fn replies_channel(&self) -> String {
        format!("{}.replies", self.name)
    }

    /// Returns what can be in the place of the parameter of the addresses.
    fn parameters(&self, addresses: &Map<String, Value>) -> Value {
        if self.address.contains("{section}") {
            return json!({"section": {"enum": Section::ALL.map(Section::as_str), "description": "The section that is called."}});
        }
        let services: Vec<&Value> = addresses.values().collect();
        json!({"service": {"enum": services, "description": "The service that is called."}})
    }

    /// Returns the operation of one of its calls.
    pub fn to_operation(&self, call: &CallMessage<'_>) -> Value {
        let (calls, replies) = (self.calls_channel(), self.replies_channel());
        let to = |channel: &str, name: &str| json!({"$ref": format!("#/channels/{channel}/messages/{name}")});
        json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{calls}")},
            "messages": [to(&calls, &call.message.name)],
            "summary": call.message.comment,
            "reply": {
                "address": {"location": "$message.header#/replyTo", "description": "The queue of the calling process."},
                "channel": {"$ref": format!("#/channels/{replies}")},
                "messages": [to(&replies, &call.reply)],
            },
            "x-services": [self.caller],
        })
    }

    /// Returns the channel of its calls, with the service that serves each address.
    pub fn call_channel(&self, calls: &[&CallMessage<'_>], declarations: &Declarations) -> Value {
        let messages: Map<String, Value> =
            calls.iter().map(|it| (it.message.name.clone(), message_reference(&it.message.name))).collect();
        let prefix = format!("{}.", self.name);
        let served = declarations.served.iter().filter(|(_, address)| address.starts_with(&prefix));
        let served: Map<String, Value> =
            served.map(|(service, address)| (address.clone(), (*service).into())).collect();
        json!({
            "address": self.address,
            "description": self.description,
            "parameters": self.parameters(&served),
            "messages": messages,
            "bindings": {"amqp": {
                "is": "routingKey",
                "exchange": {"name": CALLS, "type": "topic", "durable": true, "autoDelete": false, "vhost": "portal"},
                "bindingVersion": "0.3.0",
            }},
            "x-served-by": served,
        })
    }

    /// Returns the channel of its replies.
    pub fn reply_channel(&self, calls: &[&CallMessage<'_>]) -> Value {
        let messages: Map<String, Value> =
            calls.iter().map(|call| (call.reply.clone(), message_reference(&call.reply))).collect();
        json!({
            "address": null,
            "description": "The replies to one calling process.",
            "messages": messages,
            "bindings": {"amqp": {
                "is": "queue",
                "queue": {"durable": false, "exclusive": true, "autoDelete": true, "vhost": "portal"},
                "bindingVersion": "0.3.0",
            }},
        })
    }
}

/// The request of a call.
pub struct CallMessage<'a> {
    pub message: &'a ProtoMessage,
    /// The name of its method, such as `GetArticle`.
    pub method: &'a str,
    /// The name of its reply, such as `ArticleReply`.
    pub reply: String,
}

impl<'a> CallMessage<'a> {
    /// Returns the call of a message whose comment begins with the method and names the reply. The comments
    /// of messages of gRPC do not.
    pub fn parse(message: &'a ProtoMessage) -> Option<Self> {
        let method = message.name.strip_suffix("Request")?;
        let comment = message.comment.strip_prefix(&format!("{method}: "))?;
        let (_, reply) = comment.split_once("Answered by ")?;
        let reply = reply.split([' ', '.']).next()?.to_owned();
        Some(Self { message, method, reply })
    }
}

/// Returns the headers of a call.
pub fn call_trait() -> Value {
    json!({"headers": {
        "type": "object",
        "description": "The method is the name of the message without `Request`. The headers carry the caller's access token, an \
            idempotency key, the trace and the time that is left. Only the token identifies the caller.",
    }})
}

/// Returns the headers of a reply.
pub fn reply_trait() -> Value {
    json!({"headers": {
        "type": "object",
        "description": "The answer to the call with its correlation id: the reply, or a refusal with its kind, code and fields.",
    }})
}
