"""Look at your runs: `streamlit run app.py`."""

from __future__ import annotations

import streamlit as st

from inspection.views import views
from inspection.views.common import QUERY, problem, run_box
from utils.errors import UserError


def main() -> None:
    st.set_page_config(page_title="Laurel", layout="wide")
    with st.sidebar:
        st.title("Laurel")
        name = st.radio("View", list(views()), key="view", bind=QUERY)
        run_box()
    st.title(name)
    try:
        views()[name].show()
    except UserError as error:
        problem(error)


main()
