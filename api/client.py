"""A thin typed client of the REST API, for plain and for asynchronous code.

::

    with Client("http://127.0.0.1:8080") as client:
        client.add("notes", [{"_id": "a", "text": "First note."}], wait="visible")
        for hit in client.search("first", index="notes").hits:
            print(hit.id, hit.score)

Both classes have the same methods. They retry what is safe to send again: reading, and writing under an idempotency
key, which every write gets by itself.
"""

from twindex.api.client_async import AsyncClient
from twindex.api.client_calls import Answer, AnswerEvent, Bulk, Hit, Page, Retry, Task
from twindex.api.client_sync import Client

__all__ = ["Answer", "AnswerEvent", "AsyncClient", "Bulk", "Client", "Hit", "Page", "Retry", "Task"]
