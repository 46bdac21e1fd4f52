//! Who may connect, and who may do what.

use super::reasons::{NO_CLASSES, SECURITY, TOKENS};
use super::settings;
use crate::config::setting::Served::{Accepted, Refused};
use crate::config::setting::Valid::{Any, AtLeast, Between, OneOf, OneOfAnyCase};

settings! {
    "authorizer.class.name", String, "", Any, Low, ReadOnly,
        Refused("permissions are not checked yet, and without them everybody may do everything; keep the broker inside a trusted network"),
        "The class that decides who may do what.";
    "principal.builder.class", Class, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, Medium, PerBroker, Refused(NO_CLASSES),
        "The class that names who is connected.";
    "security.providers", String, none, Any, Low, ReadOnly, Refused(NO_CLASSES),
        "Java classes that provide cryptography.";
    "delegation.token.secret.key", Password, none, Any, Medium, ReadOnly, Refused(TOKENS),
        "The key that signs delegation tokens.";
    "delegation.token.expiry.check.interval.ms", Long, "3600000", AtLeast(1), Low, ReadOnly, Accepted(TOKENS),
        "How often expired tokens are looked for.";
    "delegation.token.expiry.time.ms", Long, "86400000", AtLeast(1), Medium, ReadOnly, Accepted(TOKENS),
        "How long a token lives until it is renewed.";
    "delegation.token.max.lifetime.ms", Long, "604800000", AtLeast(1), Medium, ReadOnly, Accepted(TOKENS),
        "How long a token lives in all.";
    "ssl.allow.dn.changes", Boolean, "false", Any, Low, ReadOnly, Refused(SECURITY),
        "Whether a new certificate may carry another name.";
    "ssl.allow.san.changes", Boolean, "false", Any, Low, ReadOnly, Refused(SECURITY),
        "Whether a new certificate may carry other alternative names.";
    "ssl.cipher.suites", List, "", Any, Medium, PerBroker, Refused(SECURITY),
        "Cipher suites that may be used.";
    "ssl.client.auth", String, "none", OneOf(&["required", "requested", "none"]), Medium, PerBroker, Refused(SECURITY),
        "Whether clients must show a certificate.";
    "ssl.enabled.protocols", List, "TLSv1.2,TLSv1.3", Any, Medium, PerBroker, Refused(SECURITY),
        "TLS versions that may be used.";
    "ssl.endpoint.identification.algorithm", String, "https", Any, Low, PerBroker, Refused(SECURITY),
        "How the name in a server's certificate is checked.";
    "ssl.engine.factory.class", Class, none, Any, Low, PerBroker, Refused(SECURITY),
        "A class that makes TLS engines.";
    "ssl.key.password", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The password of the private key.";
    "ssl.keymanager.algorithm", String, "SunX509", Any, Medium, PerBroker, Refused(SECURITY),
        "How a Java broker picks its key.";
    "ssl.keystore.certificate.chain", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The broker's certificate and those that vouch for it, as PEM.";
    "ssl.keystore.key", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The broker's private key, as PEM.";
    "ssl.keystore.location", String, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The file with the broker's key and certificate.";
    "ssl.keystore.password", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The password of that file.";
    "ssl.keystore.type", String, "JKS", Any, Medium, PerBroker, Refused(SECURITY),
        "The format of that file.";
    "ssl.principal.mapping.rules", String, "DEFAULT", Any, Low, ReadOnly, Refused(SECURITY),
        "How a certificate's name becomes a user's name.";
    "ssl.protocol", String, "TLSv1.3", Any, Medium, PerBroker, Refused(SECURITY),
        "The TLS version to start from.";
    "ssl.provider", String, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The Java provider of TLS.";
    "ssl.secure.random.implementation", String, none, Any, Low, PerBroker, Refused(SECURITY),
        "The Java source of random numbers.";
    "ssl.trustmanager.algorithm", String, "PKIX", Any, Medium, PerBroker, Refused(SECURITY),
        "How a Java broker checks certificates.";
    "ssl.truststore.certificates", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "Certificates that are trusted, as PEM.";
    "ssl.truststore.location", String, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The file with certificates that are trusted.";
    "ssl.truststore.password", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The password of that file.";
    "ssl.truststore.type", String, "JKS", Any, Medium, PerBroker, Refused(SECURITY),
        "The format of that file.";
    "sasl.client.callback.handler.class", Class, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "A class that provides the broker's own login.";
    "sasl.enabled.mechanisms", List, "GSSAPI", Any, Medium, PerBroker, Refused(SECURITY),
        "The ways to log in.";
    "sasl.jaas.config", Password, none, Any, Medium, PerBroker, Refused(SECURITY),
        "Login modules and their options.";
    "sasl.kerberos.kinit.cmd", String, "/usr/bin/kinit", Any, Medium, PerBroker, Refused(SECURITY),
        "The command that gets a Kerberos ticket.";
    "sasl.kerberos.min.time.before.relogin", Long, "60000", Any, Medium, PerBroker, Refused(SECURITY),
        "The least time between two refreshes of a ticket.";
    "sasl.kerberos.principal.to.local.rules", List, "DEFAULT", Any, Medium, PerBroker, Refused(SECURITY),
        "How a Kerberos name becomes a user's name.";
    "sasl.kerberos.service.name", String, none, Any, Medium, PerBroker, Refused(SECURITY),
        "The broker's name in Kerberos.";
    "sasl.kerberos.ticket.renew.jitter", Double, "0.05", Any, Medium, PerBroker, Refused(SECURITY),
        "How much of a ticket's refresh is left to chance.";
    "sasl.kerberos.ticket.renew.window.factor", Double, "0.8", Any, Medium, PerBroker, Refused(SECURITY),
        "When in its life a ticket is refreshed.";
    "sasl.login.callback.handler.class", Class, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "A class that provides login data.";
    "sasl.login.class", Class, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "A class that logs in.";
    "sasl.login.connect.timeout.ms", Int, none, Any, Low, ReadOnly, Refused(SECURITY),
        "How long a login waits for its connection.";
    "sasl.login.read.timeout.ms", Int, none, Any, Low, ReadOnly, Refused(SECURITY),
        "How long a login waits for its answer.";
    "sasl.login.refresh.buffer.seconds", Short, "300", Any, Medium, PerBroker, Refused(SECURITY),
        "How long before its end a credential is refreshed.";
    "sasl.login.refresh.min.period.seconds", Short, "60", Any, Medium, PerBroker, Refused(SECURITY),
        "The least time between two refreshes of a credential.";
    "sasl.login.refresh.window.factor", Double, "0.8", Any, Medium, PerBroker, Refused(SECURITY),
        "When in its life a credential is refreshed.";
    "sasl.login.refresh.window.jitter", Double, "0.05", Any, Medium, PerBroker, Refused(SECURITY),
        "How much of a credential's refresh is left to chance.";
    "sasl.login.retry.backoff.max.ms", Long, "10000", Any, Low, ReadOnly, Refused(SECURITY),
        "Longest pause between two logins.";
    "sasl.login.retry.backoff.ms", Long, "100", Any, Low, ReadOnly, Refused(SECURITY),
        "First pause between two logins.";
    "sasl.mechanism.controller.protocol", String, "GSSAPI", Any, High, ReadOnly, Refused(SECURITY),
        "How brokers log in at controllers.";
    "sasl.mechanism.inter.broker.protocol", String, "GSSAPI", Any, Medium, PerBroker, Refused(SECURITY),
        "How brokers log in at each other.";
    "sasl.oauthbearer.assertion.algorithm", String, "RS256", OneOfAnyCase(&["ES256", "RS256"]), Medium, ReadOnly, Refused(SECURITY),
        "The algorithm that signs an assertion.";
    "sasl.oauthbearer.assertion.claim.aud", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "Whom an assertion is for.";
    "sasl.oauthbearer.assertion.claim.exp.seconds", Int, "300", Between(0, 86_400), Low, ReadOnly, Refused(SECURITY),
        "How long an assertion is valid.";
    "sasl.oauthbearer.assertion.claim.iss", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "Who issues an assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include", Boolean, "false", Any, Medium, ReadOnly, Refused(SECURITY),
        "Whether an assertion carries a number of its own.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds", Int, "60", Between(0, 3600), Low, ReadOnly, Refused(SECURITY),
        "How far back an assertion starts to be valid.";
    "sasl.oauthbearer.assertion.claim.sub", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "Whom an assertion is about.";
    "sasl.oauthbearer.assertion.file", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "A file with a ready-made assertion.";
    "sasl.oauthbearer.assertion.private.key.file", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "The file with the key that signs assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase", Password, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "The password of that key.";
    "sasl.oauthbearer.assertion.template.file", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "A file with claims to start from.";
    "sasl.oauthbearer.client.credentials.client.id", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "The client's id at the token server.";
    "sasl.oauthbearer.client.credentials.client.secret", Password, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "The client's secret at the token server.";
    "sasl.oauthbearer.clock.skew.seconds", Int, "30", Any, Low, ReadOnly, Refused(SECURITY),
        "How far clocks may differ.";
    "sasl.oauthbearer.expected.audience", List, "", Any, High, ReadOnly, Refused(SECURITY),
        "Whom a token must be for.";
    "sasl.oauthbearer.expected.issuer", String, none, Any, High, ReadOnly, Refused(SECURITY),
        "Who must have issued a token.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, "3600000", Any, Low, ReadOnly, Refused(SECURITY),
        "How often the issuer's keys are read anew.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, "10000", Any, Low, ReadOnly, Refused(SECURITY),
        "Longest pause between two reads of the issuer's keys.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, "100", Any, Low, ReadOnly, Refused(SECURITY),
        "First pause between two reads of the issuer's keys.";
    "sasl.oauthbearer.jwks.endpoint.url", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "Where the issuer's keys are.";
    "sasl.oauthbearer.jwt.retriever.class", Class, "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, Medium, ReadOnly, Refused(SECURITY),
        "A class that gets tokens.";
    "sasl.oauthbearer.jwt.validator.class", Class, "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, Medium, ReadOnly, Refused(SECURITY),
        "A class that checks tokens.";
    "sasl.oauthbearer.scope", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "The scope a token is asked for.";
    "sasl.oauthbearer.scope.claim.name", String, "scope", Any, Low, ReadOnly, Refused(SECURITY),
        "The claim that holds the scope.";
    "sasl.oauthbearer.sub.claim.name", String, "sub", Any, Low, ReadOnly, Refused(SECURITY),
        "The claim that holds the user.";
    "sasl.oauthbearer.token.endpoint.url", String, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "Where tokens are.";
    "sasl.server.callback.handler.class", Class, none, Any, Medium, ReadOnly, Refused(SECURITY),
        "A class that checks logins.";
    "sasl.server.max.receive.size", Int, "524288", Any, Medium, ReadOnly, Refused(SECURITY),
        "The largest message of a login.";
}
