"""Look at your runs: `streamlit run app.py`."""

from __future__ import annotations

import streamlit as st

from inspection import predict, runs

VIEWS = {"Runs": runs.show, "Predict": predict.show}


def main() -> None:
    st.set_page_config(page_title="Laurel", layout="wide")
    names = list(VIEWS)
    asked = st.query_params.get("view", names[0])
    view = st.sidebar.radio("View", names, index=names.index(asked) if asked in names else 0)
    st.query_params["view"] = view
    VIEWS[view]()


main()
