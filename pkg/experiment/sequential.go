package experiment

import "math"

const (
	// leastRewards is how many rewards both arms must be expected to have, if they were equal, for a test to begin:
	// below it a rate is far from normal.
	leastRewards = 25
	// leastClusters is how many clusters of each arm must have users.
	leastClusters = 30
)

// sums are the moments of one arm's clusters for a ratio: of units n and rewards r.
type sums struct {
	n, r, nn, nr, rr float64
	clusters         float64
}

func (s *sums) add(n, r int64) {
	if n == 0 && r == 0 {
		return
	}
	fn, fr := float64(n), float64(r)
	s.n, s.r, s.clusters = s.n+fn, s.r+fr, s.clusters+1
	s.nn, s.nr, s.rr = s.nn+fn*fn, s.nr+fn*fr, s.rr+fr*fr
}

func (s *sums) rate() float64 {
	if s.n == 0 {
		return 0
	}
	return s.r / s.n
}

// spread is the variance of the sum of r - rate·n over the clusters.
func (s *sums) spread(rate float64) float64 {
	if s.clusters < 2 {
		return 0
	}
	squares := s.rr - 2*rate*s.nr + rate*rate*s.nn
	return max(squares, 0) * s.clusters / (s.clusters - 1)
}

// variance is that of the rate.
func (s *sums) variance() float64 {
	if s.n == 0 {
		return 0
	}
	return s.spread(s.rate()) / (s.n * s.n)
}

// difference is how two arms differ.
type difference struct {
	value, variance float64
	// pooled is the rate of both together.
	pooled float64
	ready  bool
}

// compare takes the larger of two variances: that of two unequal arms, and that of two equal ones, which is not too
// small for an arm in which, by chance, little has happened yet.
func compare(control, other *sums) difference {
	if control.n == 0 || other.n == 0 {
		return difference{}
	}
	d := difference{value: other.rate() - control.rate(), pooled: (control.r + other.r) / (control.n + other.n)}
	perUnit := (control.spread(d.pooled) + other.spread(d.pooled)) / (control.n + other.n)
	d.variance = max(control.variance()+other.variance(), perUnit*(1/control.n+1/other.n))
	d.ready = d.variance > 0 && d.pooled*min(control.n, other.n) >= leastRewards &&
		min(control.clusters, other.clusters) >= leastClusters
	return d
}

// logEvidence is the logarithm of how much better effects of the scale explain a value than none does: the mixture over
// a normal distribution of effects. Without an effect it is unlikely ever to become large: above log(1/α) with
// probability α at most.
func logEvidence(value, variance, scale float64) float64 {
	t := scale * scale
	return 0.5*math.Log(variance/(variance+t)) + value*value*t/(2*variance*(variance+t))
}

// logEvidenceAbove is logEvidence for effects above zero against those of zero and below: the mixture over the upper
// half of the normal distribution (Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
// confidence sequences", Annals of Statistics 49(2), 2021, section 3.2).
func logEvidenceAbove(value, variance, scale float64) float64 {
	z := value * scale / math.Sqrt(variance*(variance+scale*scale))
	return logEvidence(value, variance, scale) + math.Log(math.Erfc(-z/math.Sqrt2)) // 2 Φ(z)
}

// halfWidth is how far from a value the effects reach against which the evidence is below 1/alpha: at every look, with
// probability 1 - alpha, the true one is among them.
func halfWidth(variance, scale, alpha float64) float64 {
	t := scale * scale
	return math.Sqrt(2 * variance * (variance + t) / t * (math.Log(1/alpha) + 0.5*math.Log((variance+t)/variance)))
}

// test remembers a sequential test from look to look.
type test struct {
	scale float64 // 0 before it has begun
	// logEvidence is the largest there was: evidence that was once there does not go away.
	logEvidence float64
}

// look takes notice of the arms as they are now. effect is relative to the rate of both together, which says nothing of
// the difference between them, as the first look sees it.
func (t *test) look(d difference, effect float64, evidence func(value, variance, scale float64) float64) {
	if !d.ready {
		return
	}
	if t.scale == 0 {
		t.scale = effect * d.pooled
	}
	t.logEvidence = max(t.logEvidence, evidence(d.value, d.variance, t.scale))
}

// p is the always valid p-value.
func (t *test) p() float64 { return math.Exp(-t.logEvidence) }

// ratioConcentration is how far from the shares the counts of arms are suspected to be: about 0.016 where two arms
// have half of the users each.
const ratioConcentration = 1000

// logRatioEvidence is the logarithm of how much better other shares explain the users of arms than those that they were
// to have: the Dirichlet mixture of Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS
// 2022), its sequential multinomial test. An arm without a share that has users is evidence beyond doubt.
func logRatioEvidence(users []int64, shares []float64) float64 {
	evidence, total := 0.0, 0.0
	for n, count := range users {
		switch {
		case count == 0:
			continue
		case shares[n] == 0:
			return math.Inf(1)
		}
		prior := ratioConcentration * shares[n]
		evidence += logGamma(prior+float64(count)) - logGamma(prior) - float64(count)*math.Log(shares[n])
		total += float64(count)
	}
	return evidence + logGamma(ratioConcentration) - logGamma(ratioConcentration+total)
}

func logGamma(x float64) float64 {
	value, _ := math.Lgamma(x)
	return value
}
