"""Asks Hermes many things at once, as the page does, and prints how many have had a word when the first answer is whole.

Standard input: {"url", "bearer", "model", "chats": how many, "words": of each answer, one a second}
"""

import http.client
import json
import sys
import threading

order = json.load(sys.stdin)
begun, at_the_first_end = set(), []


def chat(number):
    connection = http.client.HTTPConnection(order["url"], timeout=300)
    content = f"SLOW {order['words']}, says number {number}"
    body = json.dumps({"model": order["model"], "stream": True, "messages": [{"role": "user", "content": content}]})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {order['bearer']}", "Content-Type": "application/json"})
    for line in connection.getresponse():
        # What an answer has cost comes without choices.
        if line.startswith(b"data: {") and any(choice["delta"].get("content") for choice in json.loads(line[6:]).get("choices", ())):
            begun.add(number)
    at_the_first_end.append(len(begun))


chats = [threading.Thread(target=chat, args=[number]) for number in range(order["chats"])]
for each in chats:
    each.start()
for each in chats:
    each.join()
print(at_the_first_end[0])
