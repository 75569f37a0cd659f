// The address without the token takes the place of the one with it, also in the history.
window.location.replace("./");
