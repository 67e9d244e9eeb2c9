// Package experiment is the arithmetic of experiments: which arm answers whom, what is counted of answers and events,
// and what follows from it about the arms. It knows neither Kafka nor the catalog. The recommender asks an Allocation
// for a user's arm, the retrainer keeps a Tally of what was shown and what came of it, and control reads the Results.
//
// The unit is the user: they are assigned as a whole, so their answers and events are not independent observations.
// Users are therefore counted in groups (clusters), into which they fall at random, and what varies is how the groups
// differ: the variance of a ratio of two sums over clusters (the delta method, as in Deng, Knoblich and Lu, "Applying
// the Delta Method in Metric Analytics", KDD 2018, on cluster randomisation). It needs a fixed amount of memory,
// however many users there are.
//
// Everything may be looked at as often as one likes. The tests are mixtures of likelihood ratios over effects of a
// scale that is fixed at the first look: Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm"
// (1970); the mixture SPRT of Johari, Koomen, Pekelis and Walsh, "Always Valid Inference" (Operations Research 70(3),
// 2022); the Gaussian mixture boundary of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
// theory and asymptotic confidence sequences" (Annals of Statistics 52(6), 2024), section 2.2. Their guarantee is an
// asymptotic one, so a test begins when both arms have some data (leastRewards, leastClusters). A user who comes back
// adds to their own sum instead of being a new observation; their later answers resemble their earlier ones, so the
// sums move less from look to look than independent ones of the same variance would, and by Slepian's inequality cross
// a boundary less often: the tests err on the safe side.
package experiment

import (
	"math/bits"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Unit is what a metric's rewards are divided by.
type Unit string

// The units.
const (
	PerImpression Unit = "IMPRESSION" // an answer that was given
	PerUser       Unit = "USER"       // a user who was given any
)

// Direction is the way that a guard metric must not go.
type Direction string

// The directions.
const (
	Lower  Direction = "LOWER"
	Higher Direction = "HIGHER"
)

// Metric is a rate: events of a type that name an answer, per unit.
type Metric struct {
	EventType string `json:"eventType"`
	Per       Unit   `json:"per"`
}

// Guard is a metric that must not get worse.
type Guard struct {
	Metric
	Worse Direction `json:"worse"`
}

// Plan is what of an experiment decides how it is counted and judged.
type Plan struct {
	// Seed makes the assignments of one experiment unlike those of every other.
	Seed string
	// Arms are the names, the control's first.
	Arms   []string
	Metric Metric
	Guard  *Guard
	// Window is how long after an answer an event may come and count.
	Window time.Duration
	// Effect is the size of a difference, in proportion to the rate, that is found soonest; others are found later.
	Effect float64
	// Alpha is the probability of an error in one experiment, over all looks and arms.
	Alpha float64
	// Phases are the shares that held one after the other.
	Phases [][]Share
}

// Hash is a user's place among all users of an experiment.
type Hash uint64

// HashOf hashes a user's id, or that of an anonymous session.
func HashOf(seed, user string) Hash {
	var d xxhash.Digest
	d.Reset()
	write(&d, seed)
	write(&d, "\x00")
	write(&d, user)
	return Hash(d.Sum64())
}

func write(d *xxhash.Digest, s string) { _, _ = d.WriteString(s) } // never fails

// slot is which slot of an allocation decides about the user: the upper bits of the hash.
func (h Hash) slot() int {
	slot, _ := bits.Mul64(uint64(h), Slots)
	return int(slot)
}

// cluster is the group of users with which a user is counted: the lower bits, which are independent of the slot.
func (h Hash) cluster() int { return int(h % Clusters) }

// Clusters is the number of groups. With so many the variance between them is known to about four percent.
const Clusters = 1024
