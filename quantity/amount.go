package quantity

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
)

// Amount is a Kubernetes quantity as it was written: "500m", "2", "128Mi",
// "1e3". Fractions finer than a billionth are not accepted.
type Amount string

const (
	maxAmount   = 64 // bytes of text
	maxExponent = 18
)

var amountForm = regexp.MustCompile(`^([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:[eE]([-+]?[0-9]+)|(|[numkMGTPE]|Ki|Mi|Gi|Ti|Pi|Ei))$`)

var units = map[string]*big.Rat{
	"n": big.NewRat(1, 1e9), "u": big.NewRat(1, 1e6), "m": big.NewRat(1, 1e3), "": big.NewRat(1, 1),
	"k": big.NewRat(1e3, 1), "M": big.NewRat(1e6, 1), "G": big.NewRat(1e9, 1),
	"T": big.NewRat(1e12, 1), "P": big.NewRat(1e15, 1), "E": big.NewRat(1e18, 1),
	"Ki": big.NewRat(1<<10, 1), "Mi": big.NewRat(1<<20, 1), "Gi": big.NewRat(1<<30, 1),
	"Ti": big.NewRat(1<<40, 1), "Pi": big.NewRat(1<<50, 1), "Ei": big.NewRat(1<<60, 1),
}

// ParseAmount checks that s is a quantity.
func ParseAmount(s string) (Amount, error) {
	r, ok := rational(s)
	if !ok {
		return "", fmt.Errorf("%q is not a quantity such as \"500m\", \"2\" or \"128Mi\"", shorten(s))
	}
	if !new(big.Rat).Mul(r, big.NewRat(1e9, 1)).IsInt() {
		return "", fmt.Errorf("%q is finer than a billionth", s)
	}
	return Amount(s), nil
}

func rational(s string) (*big.Rat, bool) {
	m := amountForm.FindStringSubmatch(s)
	if m == nil || len(s) > maxAmount {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(m[1])
	if !ok {
		return nil, false
	}
	if m[2] == "" {
		return r.Mul(r, units[m[3]]), true
	}
	exp, err := strconv.Atoi(m[2])
	if err != nil || exp > maxExponent || exp < -maxExponent {
		return nil, false
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil)
	if exp < 0 {
		return r.Quo(r, new(big.Rat).SetInt(power)), true
	}
	return r.Mul(r, new(big.Rat).SetInt(power)), true
}

// Bytes returns the amount in units, rounded up; what does not fit becomes the
// nearest int64. Text that is not a quantity is 0.
func (a Amount) Bytes() int64 { return a.scaled(1) }

// Milli returns the amount in thousandths, rounded up, as [Amount.Bytes] does.
func (a Amount) Milli() int64 { return a.scaled(1000) }

func (a Amount) scaled(by int64) int64 {
	r, ok := rational(string(a))
	if !ok {
		return 0
	}
	r.Mul(r, big.NewRat(by, 1))
	q, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	switch {
	case q.IsInt64():
		return q.Int64()
	case q.Sign() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

// Cmp compares exactly: -1 if a is less than b, 0 if they are equal, +1 if it
// is more. Text that is not a quantity counts as 0.
func (a Amount) Cmp(b Amount) int {
	x, ok := rational(string(a))
	if !ok {
		x = new(big.Rat)
	}
	y, ok := rational(string(b))
	if !ok {
		y = new(big.Rat)
	}
	return x.Cmp(y)
}

// Sign returns -1, 0 or +1.
func (a Amount) Sign() int { return a.Cmp("0") }

// UnmarshalJSON reads text such as "500m", or a number.
func (a *Amount) UnmarshalJSON(b []byte) error {
	text, isText := unquote(b)
	if !isText && !isNumber(text) {
		return fmt.Errorf("%s is not a quantity such as \"500m\", \"2\" or \"128Mi\"", shorten(text))
	}
	v, err := ParseAmount(text)
	if err == nil {
		*a = v
	}
	return err
}
