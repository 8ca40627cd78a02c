package winauth

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// Whatever a server sends as challenge, what is made of it is the same message with
// one binding more, which binds it again to the same.
func FuzzBind(f *testing.F) {
	for _, s := range []string{
		"4e544c4d53535000020000000c000c003800000005828902" + "0123456789abcdef0000000000000000" + "0800080044000000" + "0600701700000000f" + "44006f006d00610069006e00" + "02000000" + "00000000",
		"4e544c4d5353500002000000000000003000000005828902012345678" + "9abcdef000000000000000000000000" + "00000000",
	} {
		b, err := hex.DecodeString(s[:len(s)&^1])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	info := append([]byte{10, 0, 2, 0, 1, 1, 2, 0, 2, 0, 'D', 0}, 0, 0, 0, 0)
	b := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, 36)...)
	b[40], b[42], b[44] = byte(len(info)), byte(len(info)), byte(len(b))
	f.Add(append(b, info...))
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("certificate"), SignatureAlgorithm: x509.SHA384WithRSA}}}
	hash := bindingsHash(state.PeerCertificates[0])
	f.Fuzz(func(t *testing.T, challenge []byte) {
		if len(challenge) > maxChallenge {
			return
		}
		was := bytes.Clone(challenge)
		out, err := bind(challenge, state)
		if !bytes.Equal(was, challenge) {
			t.Fatal("the challenge was changed")
		}
		if err != nil || bytes.Equal(out, challenge) {
			return
		}
		at := int(binary.LittleEndian.Uint32(out[44:]))
		pairs := out[at:]
		if len(pairs) != int(binary.LittleEndian.Uint16(out[40:])) || bytes.Count(pairs, hash[:]) < 1 || !bytes.HasSuffix(pairs, []byte{0, 0, 0, 0}) {
			t.Errorf("target info %x", pairs)
		}
		again, err := bind(out, state)
		if err != nil || !bytes.Equal(again[binary.LittleEndian.Uint32(again[44:]):], pairs) {
			t.Errorf("again: %v", err)
		}
	})
}
