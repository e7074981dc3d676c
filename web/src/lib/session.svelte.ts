// Whether this browser is signed in.

export const session = $state({
  known: false,
  name: "",
  passwordSet: true,
  signedIn: false,
  /** Signed in before, and not any more. */
  expired: false,
  csrf: null as string | null,

  take(view: { name: string; password_set: boolean; signed_in: boolean; csrf?: string | null }) {
    session.known = true;
    // Whoever hears of it first, this or a refused request.
    if (session.signedIn && !view.signed_in) session.expired = true;
    session.name = view.name;
    session.passwordSet = view.password_set;
    session.signedIn = view.signed_in;
    session.csrf = view.csrf ?? null;
    if (view.signed_in) session.expired = false;
  },

  signedOut() {
    // Several requests may hear of it.
    session.expired ||= session.signedIn;
    session.signedIn = false;
    session.csrf = null;
  },
});
