package modelstore

import (
	"github.com/penchant-io/penchant/pkg/catalog"
)

// deployment is what the catalog says of a campaign or of a recommender: which model is to answer under its ARN.
type deployment struct {
	*catalog.Metadata
	groupARN    string
	versionARN  string
	campaign    *catalog.Campaign    // nil for a recommender
	recommender *catalog.Recommender // nil for a campaign
}

func deploymentOf(r catalog.Resource) (deployment, bool) {
	switch r := r.(type) {
	case *catalog.Campaign:
		return deployment{
			Metadata: r.Meta(), groupARN: r.DatasetGroupARN, versionARN: r.SolutionVersionARN, campaign: r,
		}, true
	case *catalog.Recommender:
		return deployment{
			Metadata: r.Meta(), groupARN: r.DatasetGroupARN, versionARN: r.SolutionVersionARN, recommender: r,
		}, true
	}
	return deployment{}, false
}

func lookupDeployment(view *catalog.View, arn string) (deployment, bool) {
	r, ok := catalog.Lookup[catalog.Resource](view, arn)
	if !ok {
		return deployment{}, false
	}
	return deploymentOf(r)
}

// deployments are all that there are, campaigns first.
func deployments(view *catalog.View) []deployment {
	var all []deployment
	for _, c := range catalog.All[*catalog.Campaign](view) {
		d, _ := deploymentOf(c)
		all = append(all, d)
	}
	for _, r := range catalog.All[*catalog.Recommender](view) {
		d, _ := deploymentOf(r)
		all = append(all, d)
	}
	return all
}

// Serving is what a campaign or a recommender answers with. It is shared and read-only.
type Serving struct {
	// Campaign or Recommender is what answers; the other is nil.
	Campaign    *catalog.Campaign    `json:"campaign,omitempty"`
	Recommender *catalog.Recommender `json:"recommender,omitempty"`
	// Version is the solution version whose model answers.
	Version *catalog.SolutionVersion `json:"version"`
	// Group is the dataset group's key: the name of its user states and topics.
	Group  string  `json:"group"`
	Loaded *Loaded `json:"-"`
}

// deployment is the campaign or the recommender as it was when it began to answer so.
func (s *Serving) deployment() deployment {
	if s.Recommender != nil {
		d, _ := deploymentOf(s.Recommender)
		return d
	}
	d, _ := deploymentOf(s.Campaign)
	return d
}

// ARN is the campaign's or the recommender's.
func (s *Serving) ARN() string { return s.deployment().ARN }

// Name is the campaign's or the recommender's.
func (s *Serving) Name() string { return s.deployment().Name }

// DatasetGroupARN is the dataset group's.
func (s *Serving) DatasetGroupARN() string { return s.deployment().groupARN }

// Metadata reports whether answers may carry columns of the Items dataset.
func (s *Serving) Metadata() bool {
	if s.Recommender != nil {
		c := s.Recommender.Config
		return c != nil && c.EnableMetadataWithRecommendations != nil && *c.EnableMetadataWithRecommendations
	}
	c := s.Campaign.Config
	return c != nil && c.EnableMetadataWithRecommendations != nil && *c.EnableMetadataWithRecommendations
}

// Exploration is the itemExplorationConfig; nil where none was given.
func (s *Serving) Exploration() map[string]string {
	switch {
	case s.Recommender != nil && s.Recommender.Config != nil:
		return s.Recommender.Config.ItemExplorationConfig
	case s.Campaign != nil && s.Campaign.Config != nil:
		return s.Campaign.Config.ItemExplorationConfig
	}
	return nil
}
