package lab

// A Fault is one thing that is broken on purpose.
type Fault struct{ Name, Text string }

const (
	faultKey       = "wrong-key-credential"
	faultSPN       = "missing-spn"
	faultExpired   = "expired-certificate"
	faultPartner   = "disabled-partner-application"
	faultConnector = "missing-connector"
	faultIssuer    = "missing-auth-server"
)

// Faults are the faults that a lab can be started with, by the step of the
// article that they break.
func Faults() []Fault {
	return []Fault{
		{faultIssuer, "step 1 is left out: on premises knows no authorization server"},
		{faultPartner, "step 2 is left out: the partner application stays disabled on premises"},
		{faultExpired, "step 3: the certificate that on premises signs with has expired"},
		{faultKey, "step 4: another certificate than the current one is uploaded"},
		{faultSPN, "step 5 is left out: no host name of on premises is a service principal name"},
		{faultConnector, "step 6 is left out: on premises has no connector to the cloud"},
	}
}

func knownFault(name string) bool {
	for _, f := range Faults() {
		if f.Name == name {
			return true
		}
	}
	return false
}
