// Package autodiscover is the wire of Exchange's Autodiscover service in its
// three forms: SOAP ([Request], [Response]), the older "plain old XML"
// ([POXRequest], [POXSettings], …) and V2 JSON ([V2Request], [V2Answer]).
//
// Reading is lenient where real clients differ, and refuses by [soap.Fault],
// [POXError] and [V2Error]. Writing is exact: element order is that of the
// published schema, which deserializers rely on.
package autodiscover
