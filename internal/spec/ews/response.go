package ews

// The frame of most operations (1.4): m:<op>Response/m:ResponseMessages and one
// m:<op>ResponseMessage for each part of the request. The prefixes m, t and xsi
// are bound inside.

func AppendResponseStart(b []byte, v ServerVersion, op string) []byte {
	b = append(append(append(AppendStart(b, v), `<m:`...), op...), `Response xmlns:m="`+NSMessages+`" xmlns:t="`+NSTypes+`"><m:ResponseMessages>`...)
	return b
}

func AppendResponseEnd(b []byte, op string) []byte {
	return AppendEnd(append(append(append(b, `</m:ResponseMessages></m:`...), op...), `Response>`...))
}

// AppendMessageStart writes the start of one message with what m says; the
// content of the operation follows, and AppendMessageEnd.
func AppendMessageStart(b []byte, op string, m *ResponseMessage) []byte {
	return appendMessageStart(b, "m:", op+"ResponseMessage", m)
}

func AppendMessageEnd(b []byte, op string) []byte {
	return append(append(append(b, `</m:`...), op...), `ResponseMessage>`...)
}

// emptyContent is what a message of an operation must have when it is an error.
var emptyContent = map[string]string{
	"GetFolder": `<m:Folders></m:Folders>`, "GetItem": `<m:Items></m:Items>`, "CreateItem": `<m:Items></m:Items>`, "UpdateItem": `<m:Items></m:Items>`,
}

// AppendErrorMessage writes a whole message of op that is an error.
func AppendErrorMessage(b []byte, op, code, text string) []byte {
	b = AppendMessageStart(b, op, &ResponseMessage{Class: "Error", Code: code, Text: text})
	return AppendMessageEnd(append(b, emptyContent[op]...), op)
}
