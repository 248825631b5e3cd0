package api

import (
	"context"
	"net/http"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

// root is where the JSON API lives.
const root = "/api/v1"

// Who may. Every route names one of these, or says that it is public.
var (
	operators = []string{auth.ScopeOperator}
	managers  = []string{auth.ScopeOperator, auth.ScopeAUM}
	readers   = []string{auth.ScopeOperator, auth.ScopeAuditor, auth.ScopeAUM}
	staff     = []string{auth.ScopeOperator, auth.ScopeAuditor}
	portals   = []string{auth.ScopePortal}
	machines  = []string{auth.ScopeSCIM, auth.ScopeAuditor}
	reviewers = []string{auth.ScopeAUM}
)

const (
	get   = http.MethodGet
	post  = http.MethodPost
	put   = http.MethodPut
	patch = http.MethodPatch
	del   = http.MethodDelete
)

// table is every route there is.
func (s *server) table() []route {
	routes := []route{
		{method: get, path: root + "/participants", summary: "List participants", scopes: readers, shows: nothing, do: typed(s.listParticipants)},
		{method: post, path: root + "/participants", summary: "Add a participant", scopes: operators, shows: nothing, status: 201, do: typed(s.addParticipant)},
		{method: get, path: root + "/participants/{id}", summary: "One participant", scopes: readers, shows: nothing, do: typed(s.getParticipant)},
		{method: patch, path: root + "/participants/{id}", summary: "Change name and settings", scopes: operators, shows: nothing, do: merging(s.changeParticipant)},
		{method: post, path: root + "/participants/{id}/suspend", summary: "Close access for everybody there", scopes: operators, shows: nothing, do: typed(s.suspendParticipant)},
		{method: post, path: root + "/participants/{id}/resume", summary: "End a suspension", scopes: operators, shows: nothing, do: typed(s.resumeParticipant)},
		{method: post, path: root + "/participants/{id}/live", summary: "Go from observing to live", scopes: operators, shows: nothing, do: typed(s.goLive)},
		{method: post, path: root + "/participants/{id}/restore", summary: "Give back what the open case of its breaker stages; nothing is needed in the body", scopes: operators, shows: people, later: true, do: perhaps(s.restore)},
		{method: post, path: root + "/participants/{id}/accept", summary: "Close the open case of its breaker: what was lost was meant to be", scopes: operators, shows: nothing, do: typed(s.acceptLosses)},
		{method: get, path: root + "/participants/{id}/requests", summary: "What its identity provider sent and what we answered, masked, newest first; - for requests without a token of ours", scopes: readers, shows: people,
			query: []string{"from", "to", "status", "user", "cursor", "limit"}, do: typed(s.listRequests)},

		{method: get, path: root + "/tokens", summary: "List tokens", scopes: managers, shows: nothing, query: []string{"participant"}, do: typed(s.listTokens)},
		{method: post, path: root + "/tokens", summary: "Issue a token; its text is answered once", scopes: managers, shows: nothing, status: 201, do: typed(s.issueToken)},
		{method: del, path: root + "/tokens/{id}", summary: "Revoke a token", scopes: managers, shows: nothing, do: typed(s.revokeToken)},

		{method: get, path: root + "/clients", summary: "List OAuth clients", scopes: managers, shows: nothing, query: []string{"participant"}, do: typed(s.listClients)},
		{method: post, path: root + "/clients", summary: "Register an OAuth client for SCIM; its secret, if it gets one, is answered once", scopes: managers, shows: nothing, status: 201, do: typed(s.issueClient)},
		{method: del, path: root + "/clients/{id}", summary: "Revoke an OAuth client and the tokens it fetched", scopes: managers, shows: nothing, do: typed(s.revokeClient)},

		{method: get, path: root + "/users", summary: "List users, as they are or as they were at an instant (a page of which may hold less than it could, and go on)", scopes: readers, shows: people,
			query: []string{"participant", "q", "status", "role", "gate", "asOf", "sort", "cursor", "limit"}, do: typed(s.listUsers)},
		{method: get, path: root + "/users/{id}", summary: "One user, as they are or as they were at an instant", scopes: readers, shows: people, query: []string{"asOf"}, do: typed(s.getUser)},
		{method: get, path: root + "/users/{id}/timeline", summary: "What happened: each change with what was before and after, oldest first", scopes: readers, shows: people, do: typed(s.getTimeline)},
		{method: get, path: root + "/users/{id}/decision", summary: "The decision and how it came about, now or at an instant", scopes: readers, shows: people, query: []string{"asOf"}, do: typed(s.getDecision)},
		{method: post, path: root + "/users/{id}/deactivate", summary: "End access by hand", scopes: managers, shows: people, do: typed(s.deactivate)},
		{method: get, path: root + "/users/{id}/evidence", summary: "List evidence", scopes: readers, shows: people, do: typed(s.listEvidence)},
		{method: post, path: root + "/users/{id}/evidence", summary: "Record evidence", scopes: operators, shows: itsDeed, status: 201, do: typed(s.recordEvidence)},
		{method: del, path: root + "/users/{id}/evidence/{evidence}", summary: "Revoke evidence", scopes: operators, shows: nothing, query: []string{"reason"}, do: typed(s.revokeEvidence)},
		{method: post, path: root + "/users/{id}/approvals", summary: "Approve or reject", scopes: operators, shows: people, do: typed(s.approve)},
		{method: get, path: root + "/users/{id}/holds", summary: "List holds", scopes: staff, shows: people, do: typed(s.listHolds)},
		{method: post, path: root + "/users/{id}/holds", summary: "Hold", scopes: operators, shows: itsDeed, status: 201, do: typed(s.hold)},
		{method: del, path: root + "/users/{id}/holds/{hold}", summary: "Lift a hold", scopes: operators, shows: nothing, do: typed(s.liftHold)},
		{method: post, path: root + "/users/{id}/activation", summary: "Send a new activation link; the old one is void", scopes: managers, shows: nothing, do: typed(s.resendActivation)},
		{method: put, path: root + "/users/{id}/clinical-alerts", summary: "Ask for clinical alerts", scopes: managers, shows: people, do: typed(s.setClinicalAlerts)},

		{method: get, path: root + "/reviews", summary: "List access reviews, newest first", scopes: readers, shows: nothing,
			query: []string{"participant", "state", "cursor", "limit"}, do: typed(s.listReviews)},
		{method: post, path: root + "/reviews", summary: "Start an access review of everybody at a participant who has access now", scopes: operators, shows: nothing, status: 201, do: typed(s.startReview)},
		{method: get, path: root + "/reviews/{id}", summary: "One access review", scopes: readers, shows: nothing, do: typed(s.getReview)},
		{method: get, path: root + "/reviews/{id}/items", summary: "The people in a review, as they are now, with what was decided", scopes: readers, shows: people,
			query: []string{"state", "cursor", "limit"}, do: typed(s.listReviewItems)},
		{method: post, path: root + "/reviews/{id}/items/{user}", summary: "Keep a person's access, revoke it, or comment", scopes: reviewers, shows: people, do: typed(s.decideReview)},
		{method: post, path: root + "/reviews/{id}/close", summary: "Close a review: everybody is decided about, or its deadline has passed", scopes: operators, shows: nothing, do: typed(s.closeReview)},
		{method: get, path: root + "/reviews/{id}/report", summary: "The report of a closed review, byte by byte what the entry of its closing has the digest of", scopes: readers, shows: people, do: typed(s.getReviewReport)},

		{method: get, path: root + "/titles/unmapped", summary: "Titles that wait for a person, those with most people first, with what may be meant", scopes: readers, shows: nothing,
			query: []string{"participant", "cursor"}, do: typed(s.listUnmapped)},
		{method: post, path: root + "/titles/unmapped/{key}/draft", summary: "Plan that a waiting title is read as one of the table", scopes: operators, shows: people, later: true, do: typed(s.draftTitle)},

		{method: get, path: root + "/policy", summary: "The policy in force, or a participant's overlay; the document itself with Accept: application/yaml", scopes: readers, shows: nothing,
			query: []string{"participant"}, also: []string{yamlType}, do: typed(s.getPolicy)},
		{method: get, path: root + "/policy/versions", summary: "List policy versions", scopes: staff, shows: nothing, do: typed(s.listPolicies)},
		{method: post, path: root + "/policy/explain", summary: "Which role a title leads to, and why", scopes: readers, shows: nothing, do: typed(s.explain)},
		{method: post, path: root + "/policy/plan", summary: "What a policy document would do, person by person", scopes: operators, shows: people, later: true,
			query: []string{"participant"}, do: asSent(s.planPolicy, yamlType, "application/x-yaml", "text/yaml", "application/json")},
		{method: get, path: root + "/policy/plans", summary: "List plans, newest first, without their people", scopes: staff, shows: nothing, query: []string{"limit"}, do: typed(s.listPlans)},
		{method: get, path: root + "/policy/plans/{id}", summary: "A plan with a page of its people, everybody with format=csv, or its document with Accept: application/yaml", scopes: staff, shows: people,
			query: []string{"class", "participant", "format", "cursor", "limit"}, also: []string{"text/csv", yamlType}, do: typed(s.getPlan)},
		{method: post, path: root + "/policy/plans/{id}/confirm", summary: "A second operator's word on a plan", scopes: operators, shows: people, do: typed(s.confirmPlan)},
		{method: del, path: root + "/policy/plans/{id}", summary: "Withdraw a plan that is not in force; it stays on record", scopes: operators, shows: nothing, do: typed(s.withdrawPlan)},
		{method: post, path: root + "/policy/apply", summary: "Put a plan in force, now or at a time", scopes: operators, shows: people, later: true, do: typed(s.applyPlan)},
		{method: post, path: root + "/policy/rollback", summary: "Plan a new version equal to an old one", scopes: operators, shows: people, later: true, do: typed(s.rollBack)},

		{method: get, path: root + "/learners", summary: "Users as the LMS knows them, by state", scopes: staff, shows: people,
			query: []string{"participant", "state", "cursor", "limit"}, do: typed(s.listLearners)},
		{method: post, path: root + "/learners/retry", summary: "Tell the LMS again of everybody whom it refused", scopes: operators, shows: nothing, do: typed(s.retryLearners)},
		{method: post, path: root + "/users/{id}/enrolment", summary: "Tell the LMS again of a user", scopes: operators, shows: nothing, do: typed(s.enrolAnew)},

		{method: get, path: root + "/audit/events", summary: "The record's entries, newest first, with what was not erased of their values", scopes: staff, shows: people,
			query: []string{"participant", "user", "actor", "action", "from", "to", "cursor", "limit"}, do: typed(s.listEvents)},
		{method: get, path: root + "/audit/checkpoint", summary: "The newest checkpoint of the record: a signed note (C2SP), with Accept: application/json taken apart", scopes: staff, shows: nothing,
			also: []string{noteType}, do: typed(s.getCheckpoint)},
		{method: get, path: root + "/audit/proof/inclusion", summary: "Proof that an entry stands in the log of a size; without one, of the newest checkpoint's", scopes: staff, shows: people,
			query: []string{"event", "size"}, do: typed(s.getInclusion)},
		{method: get, path: root + "/audit/proof/consistency", summary: "Proof that the log of size to continues the one of size from; without to, the newest checkpoint's", scopes: staff, shows: nothing,
			query: []string{"from", "to"}, do: typed(s.getConsistency)},
		{method: get, path: root + "/reports/access", summary: "Who has, or had at an instant, which access: everybody, deleted people too; as CSV with format=csv", scopes: staff, shows: people,
			query: []string{"participant", "asOf", "format"}, also: []string{csvType}, do: typed(s.reportAccess)},

		{method: get, path: root + "/jobs", summary: "List jobs", scopes: operators, shows: nothing, query: []string{"state", "limit"}, do: typed(s.listJobs)},
		{method: post, path: root + "/jobs/{id}/retry", summary: "Do a job again now", scopes: operators, shows: nothing, do: typed(s.retryJob)},

		{method: post, path: root + "/activations/redeem", summary: "Redeem an activation code", scopes: portals, shows: toMachines, do: typed(s.redeem)},
		{method: get, path: root + "/access/{username}", summary: "What a username may do now", scopes: portals, shows: toMachines, do: typed(s.getAccess)},
		{method: get, path: root + "/access", summary: "The same, by a participant's own name for a person", scopes: portals, shows: toMachines,
			query: []string{"participant", "userName", "externalId"}, do: typed(s.findAccess)},
		{method: get, path: root + "/access/changes", summary: "Whose access changed since a cursor, as it is now, in the order of commits; waits up to 25 s when nobody's did", scopes: portals, shows: toMachines,
			query: []string{"cursor"}, do: typed(s.listChanges)},

		{path: scimNewest, summary: "SCIM 2.0, the newest version", scopes: machines, shows: people, serve: s.serveSCIM},
		{path: scimNewest + "/*", summary: "SCIM 2.0, the newest version", scopes: machines, shows: people, serve: s.serveSCIM},
		{path: scimRoot, summary: "SCIM 2.0", scopes: machines, shows: people, serve: s.serveSCIM},
		{path: scimRoot + "/*", summary: "SCIM 2.0", scopes: machines, shows: people, serve: s.serveSCIM},

		{method: post, path: tokenPath, summary: "Fetch a short-lived token (RFC 6749 §4.4); the client proves itself by secret (Basic or form) or by assertion (RFC 7523)", public: true, shows: nothing, produces: "application/json", form: grantForm, serve: s.serveToken},
		{method: get, path: metadataPath, summary: "Authorization server metadata (RFC 8414)", public: true, shows: nothing, produces: "application/json", serve: s.serveMetadata},
		{method: get, path: keysPath, summary: "Keys that tokens are signed with", public: true, shows: nothing, produces: "application/jwk-set+json", serve: s.serveKeys},
		{method: get, path: "/openapi.json", summary: "This description", public: true, shows: nothing, produces: "application/json", serve: s.serveOpenAPI},
		{method: get, path: "/livez", summary: "Is the process alive", public: true, shows: nothing, produces: "text/plain", serve: s.serveAlive},
		{method: get, path: "/readyz", summary: "Do database and schema answer", public: true, shows: nothing, produces: "text/plain", serve: s.serveReady},
	}
	if len(s.HookSecrets) > 0 {
		routes = append(routes, route{method: post, path: hookPath, summary: "Webhook of the LMS; a hint, which counts for nothing by itself", public: true, shows: nothing, status: 202, produces: "text/plain", serve: s.serveHook})
	}
	if !s.HideMetrics {
		routes = append(routes, route{method: get, path: "/metrics", summary: "Prometheus metrics", public: true, shows: nothing, produces: "text/plain", serve: s.Metrics.Handler().ServeHTTP})
	}
	if s.PortalStandIn {
		routes = append(routes,
			route{method: get, path: standInPath, summary: "Stand-in for the portal's activation page", public: true, shows: nothing, produces: "text/html", serve: s.serveStandIn},
			route{method: post, path: standInPath, summary: "Redeem on the stand-in page", public: true, shows: nothing, produces: "text/html", serve: s.redeemOnStandIn})
	}
	return routes
}

func (s *server) serveKeys(w http.ResponseWriter, r *http.Request) {
	keys, err := s.Signer.JWKS()
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	write(w, r, http.StatusOK, "application/jwk-set+json", keys)
}

func (s *server) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	write(w, r, http.StatusOK, "application/json", s.openAPI)
}

func (s *server) serveAlive(w http.ResponseWriter, r *http.Request) {
	write(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte("alive\n"))
}

func (s *server) serveReady(w http.ResponseWriter, r *http.Request) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if s.Halted != nil {
		if err := s.Halted(); err != nil {
			s.refuse(w, r, &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Message: err.Error(), Err: err})
			return
		}
	}
	if err := s.Store.Ready(ctx); err != nil {
		s.refuse(w, r, &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Message: "the database does not answer", Err: err})
		return
	}
	write(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte("ready\n"))
}
