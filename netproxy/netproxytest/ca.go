package netproxytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// authority is a CA for one network.
type authority struct {
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	pool   *x509.CertPool
	issued map[string]*tls.Certificate
	serial int64
}

// ca makes the authority when it is first needed. The caller holds mu.
func (n *Network) ca() *authority {
	if n.authority == nil {
		key := newKey()
		cert := sign(&x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "netproxytest"},
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}, nil, key, key)
		n.authority = &authority{key: key, cert: cert, pool: x509.NewCertPool(), issued: map[string]*tls.Certificate{}, serial: 1}
		n.authority.pool.AddCert(cert)
	}
	return n.authority
}

// Certificate issues a certificate of this network's CA for names or addresses,
// for a server or a client of a test's own.
func (n *Network) Certificate(hosts ...string) tls.Certificate {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.ca()
	return *a.issue(a.cert, hosts...)
}

// issue signs by parent, or by the new key itself without one.
func (a *authority) issue(parent *x509.Certificate, hosts ...string) *tls.Certificate {
	a.serial++
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: fmt.Sprint(hosts)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip, err := netip.ParseAddr(h); err == nil {
			template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	signer := key
	if parent != nil {
		signer = a.key
	}
	leaf := sign(template, parent, key, signer)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// certificateFor is what a server presents: for the name that the client asked
// for, or for its own address.
func (n *Network) certificateFor(name string, to netip.AddrPort) (*tls.Certificate, error) {
	if name == "" {
		name = to.Addr().String()
	}
	name = canonical(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.ca()
	if c := a.issued[name]; c != nil {
		return c, nil
	}
	parent := a.cert
	if n.selfSigned[name] {
		parent = nil
	}
	a.issued[name] = a.issue(parent, name)
	return a.issued[name], nil
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
}

// sign dates the certificate so that it is valid under a test's frozen clock as
// well.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	template.NotBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		panic(err) // the template is ours
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}
