package awsapi

// Text is what a member holds, "" without it.
func Text(member *string) string {
	if member == nil {
		return ""
	}
	return *member
}

// Present is a member, left out where it is empty.
func Present(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}
