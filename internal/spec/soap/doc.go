// Package soap reads and writes SOAP 1.1 and the XML below it for peers that may
// be hostile.
//
// Reading goes through one guard, [ReadXML]: a strict scanner of the XML that
// protocols need, with limits on size, depth, attributes and elements. There is
// no DTD, no processing instruction, no entity but the five of XML, and nothing
// is ever fetched. The result is a tree in which names are resolved: match on
// namespace and local name, never on a prefix.
//
// Writing is by appending to a byte slice, with [AppendText] and [AppendAttr]
// for everything that is not a constant.
package soap

// NS is the namespace of SOAP 1.1 envelopes, NS12 the one of SOAP 1.2, which is
// recognized in order to be refused clearly.
const (
	NS   = "http://schemas.xmlsoap.org/soap/envelope/"
	NS12 = "http://www.w3.org/2003/05/soap-envelope"
)
