package manifest

import (
	"crypto/ed25519"
	"math/big"
	"slices"
)

// checkPublicKey refuses keys under which a signature proves nothing. The
// standard library accepts forged signatures under the eight points of small
// order, and cannot tell a point that is not on the curve from a key whose
// owner never signed.
func checkPublicKey(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return keyInvalid("a public key has %d bytes, not %d", len(key), ed25519.PublicKeySize)
	}
	p, ok := decodePoint(key)
	if !ok {
		return keyInvalid("the public key is not a point of the curve in its one valid form")
	}
	for range 3 {
		p = p.double()
	}
	if p.x.Sign() == 0 && p.y.Cmp(big.NewInt(1)) == 0 {
		return keyInvalid("the public key has a small order: anybody could sign under it")
	}
	return nil
}

// point is a point of the twisted Edwards curve -x²+y² = 1+dx²y². The keys of a
// trust set are public and few, so plain arithmetic does.
type point struct{ x, y *big.Int }

// fieldPrime is 2^255-19, curveD the d of the curve, -121665/121666.
func fieldPrime() *big.Int {
	return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
}

func curveD(p *big.Int) *big.Int {
	return mulMod(p, big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p))
}

func mulMod(p, a, b *big.Int) *big.Int {
	product := new(big.Int).Mul(a, b)
	return product.Mod(product, p)
}

// decodePoint reads 32 bytes: y, little endian, and the lowest bit of x on top.
func decodePoint(b []byte) (point, bool) {
	p, one := fieldPrime(), big.NewInt(1)
	bigEndian := slices.Clone(b)
	slices.Reverse(bigEndian)
	odd := uint(bigEndian[0] >> 7)
	bigEndian[0] &= 0x7f
	y := new(big.Int).SetBytes(bigEndian)
	if y.Cmp(p) >= 0 {
		return point{}, false // a second form of a smaller y
	}
	y2 := mulMod(p, y, y)
	numerator := new(big.Int).Sub(y2, one)
	denominator := mulMod(p, curveD(p), y2)
	denominator.Add(denominator, one)
	inverse := new(big.Int).ModInverse(denominator, p)
	if inverse == nil {
		return point{}, false
	}
	x := new(big.Int).ModSqrt(mulMod(p, numerator, inverse), p)
	if x == nil || x.Sign() == 0 && odd == 1 {
		return point{}, false
	}
	if x.Bit(0) != odd {
		x.Sub(p, x)
	}
	return point{x, y}, true
}

// double adds a point to itself. The addition law of this curve has no
// exceptions, so neither denominator is ever zero.
func (a point) double() point {
	p, one := fieldPrime(), big.NewInt(1)
	xy, x2, y2 := mulMod(p, a.x, a.y), mulMod(p, a.x, a.x), mulMod(p, a.y, a.y)
	k := mulMod(p, curveD(p), mulMod(p, x2, y2))
	over := new(big.Int).ModInverse(new(big.Int).Add(one, k), p)
	under := new(big.Int).Sub(one, k)
	under.ModInverse(under.Mod(under, p), p)
	return point{
		mulMod(p, new(big.Int).Lsh(xy, 1), over),
		mulMod(p, new(big.Int).Add(y2, x2), under),
	}
}
