"""A graph of LangGraph's that answers for a house: it looks, asks before it opens a door, and lets a model talk.

``pip install 'earshot-gateway[langgraph]'``, then ``earshot -c config.yaml run`` in this folder. The model is
LangGraph's own for tests, which says what it was told to say; put yours in its place.
"""

from __future__ import annotations

from typing import Literal

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

MODEL = GenericFakeChatModel(messages=iter(lambda: AIMessage("It is warm, and nobody is there."), None))


def wanted(state: MessagesState) -> Literal["unlock", "look"]:
    """Where it goes on."""
    return "unlock" if "unlock" in str(state["messages"][-1].content) else "look"


def look(state: MessagesState) -> dict[str, list[AIMessage]]:
    """Tells at once that something is being done."""
    get_stream_writer()({"progress": "looking", "data": {"heard": len(state["messages"])}})
    return {}


async def talk(state: MessagesState) -> dict[str, list[AIMessage]]:
    """What the model writes is said as it comes."""
    return {"messages": [await MODEL.ainvoke(state["messages"])]}


def unlock(_state: MessagesState) -> dict[str, list[AIMessage]]:
    """Stops for an answer: the next thing that is said in this conversation."""
    said = interrupt("Unlock the door?")
    return {
        "messages": [AIMessage("It is open." if said.strip(" .!").lower() == "yes" else "It stays shut.")]
    }


def build() -> StateGraph:
    """All of it, not compiled."""
    graph = StateGraph(MessagesState)
    graph.add_node("look", look)
    graph.add_node("talk", talk)
    graph.add_node("unlock", unlock)
    graph.add_conditional_edges(START, wanted)
    graph.add_edge("look", "talk")
    graph.add_edge("talk", END)
    graph.add_edge("unlock", END)
    return graph


house = build().compile(checkpointer=InMemorySaver())
"""InMemorySaver keeps each conversation for ever, until the process ends: for a house, use one that forgets."""
