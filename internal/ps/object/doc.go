// Package object holds the values of the shell language: what they are, how they are converted,
// compared, calculated with and printed, and which members they have.
//
// A value is a Go any. The kinds are:
//
//	null                      nil
//	[bool]                    bool
//	[switch]                  Switch
//	[int] [long] [byte] ...   int32, int64, uint8, int8, int16, uint16, uint32, uint64
//	[double] [float]          float64, float32
//	[decimal]                 Decimal
//	[char]                    Char
//	[string]                  string
//	[datetime] [timespan]     time.Time, time.Duration
//	[guid] [uri] [version]    uuid.UUID, *url.URL, Version
//	enum members              Enum
//	arrays                    *Array
//	ArrayList, List[T]        *List
//	hashtable, [ordered]      *Hashtable
//	[type] [regex] match      *Type, *Regex, *Match
//	[pscustomobject], notes   *Object
//	errors                    *ErrorRecord, *Exception
//	credentials               *Credential, *SecureString
//	host objects              anything that implements Adapted
//
// [From] brings other Go values (int, []string, error, ...) into this set. There is no reflection on host
// objects: a member exists when a table of this package or an Adapted value says so.
//
// Conversions, comparisons and operators follow sections 4 and 5 of the language reference for Windows
// PowerShell 5.1 with the culture en-US.
package object
