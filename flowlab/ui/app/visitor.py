"""The visitor: on a shared server everybody has a name that nobody else can know or take.

A login by Streamlit's own OpenID Connect names its person. Otherwise the browser keeps a random
token in a cookie, for a year. Only a hash of either is stored with a visitor's runs. Where the
server is not shared nobody has a name, and there is no cookie.
"""

import hashlib
import importlib.util
import re
import secrets
from collections.abc import Callable

import streamlit as st

from flowlab.server.limits import limits
from flowlab.ui.app.state import session
from flowlab.ui.elements.escape import plain

COOKIE = "flowlab_visitor"
YEAR = 365 * 24 * 3600  # seconds
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits, as `secrets.token_urlsafe` writes them
NO_LOGIN = ("This lab asks for a login (limit login), and none is set up: install streamlit[auth] "
            "and write [auth] to .streamlit/secrets.toml, as Run for a class in the docs says.")
KEY = "visitor"  # the style sheet hides it by this name

# The server reads the cookies when the page connects to it. A second page that is opened before the
# first has set its cookie finds it here, and takes it over.
_JS = """
export default function ({ data, setTriggerValue }) {
  const found = document.cookie.split("; ").find(part => part.startsWith(data.cookie + "="));
  const token = found && found.slice(data.cookie.length + 1);
  if (token && token !== data.token && /^[A-Za-z0-9_-]{43}$/.test(token)) {
    setTriggerValue("token", token);
    return;
  }
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie =
    `${data.cookie}=${data.token}; Path=/; Max-Age=${data.seconds}; SameSite=Lax${secure}`;
}
"""


def visitor() -> str:
    """The visitor's name; empty where the server is not shared."""
    if not limits().shared:
        return ""
    return _person() or _hash("browser", _token())


def welcome() -> None:
    """Let the browser keep its token, or ask for a login; show an error if the limits are wrong.

    The token takes no space on the page, and nothing waits for it.
    """
    try:
        shared = limits().shared
    except ValueError as error:
        st.error(plain(str(error)), icon=":material/error:")
        st.stop()
    if limits().login and not _person():
        _ask()
        st.stop()
    if not shared or _person() or _cookie() is not None:
        return
    _component()(key=KEY, on_token_change=_adopt, data={
        "cookie": COOKIE, "token": _token(), "seconds": YEAR})


def leave() -> None:
    """Draw a button that logs out, where the visitor has logged in."""
    if _person():
        st.button("Log out", icon=":material/logout:", on_click=st.logout, key="logout")


def _ask() -> None:
    """Draw what a visitor sees who has yet to log in."""
    if not _can_log_in():
        st.error(NO_LOGIN, icon=":material/error:")
        return
    st.title("Flow Lab")
    st.markdown("See normalizing flows learn. Log in to use this lab.")
    st.button("Log in", type="primary", icon=":material/login:", on_click=st.login, key="login")


def _can_log_in() -> bool:
    """Whether Streamlit has what its login needs."""
    try:
        return "auth" in st.secrets and importlib.util.find_spec("authlib") is not None
    except FileNotFoundError:  # there are no secrets
        return False


def _person() -> str:
    """The name of who has logged in; empty for nobody."""
    who = st.user.get("sub") or st.user.get("email")
    if not st.user.get("is_logged_in") or not who:
        return ""
    return _hash("login", str(st.user.get("iss", "")), str(who))


def _adopt() -> None:
    """Take over the token that another page of the browser has."""
    token = st.session_state[KEY].token
    if isinstance(token, str) and _TOKEN.fullmatch(token):
        session().token = token


def _token() -> str:
    """The browser's token: its cookie's, or one made for this session."""
    state = session()
    state.token = state.token or _cookie() or secrets.token_urlsafe(32)
    return state.token


def _cookie() -> str | None:
    token = st.context.cookies.get(COOKIE, "")
    return token if _TOKEN.fullmatch(token) else None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_visitor", js=_JS)
