// Package trust mints and checks the tokens by which organizations know each
// other (oauth-s2s reference).
//
// Four parts play together. [Tokens] and [Transport] are the calling side: they
// read a server's challenge, choose an authorization server that both sides
// trust, prove who they are to it with the organization's certificate, and send
// what it issues. [Authority] is that authorization server. [Validator] is the
// receiving side: eighteen checks in a fixed order, each with its number and its
// diagnostic. [Refresher] keeps the keys of authorization servers current.
//
// Nothing here takes a key, an issuer or an address from a token: a token only
// selects among what the organization has configured.
package trust
