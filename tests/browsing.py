"""The page in a browser, as a person and a program use it."""

import time


def run(browser, script, *arguments):
    """What `script`, the body of an async function, returns in the browser."""
    code = f"""async (...given) => {{
        try {{
            return {{ value: await (async () => {{ {script} }})() }};
        }} catch (error) {{
            return {{ error: String(error) }};
        }}
    }}"""
    if hasattr(browser, "run"):
        answer = browser.run(code, *arguments)
    else:
        given = "Array.from(arguments).slice(0, -1)"
        answer = browser.execute_async_script(f"({code})(...{given}).then(arguments[arguments.length - 1])", *arguments)
    assert "error" not in answer, answer["error"]
    return answer.get("value")


def visit(browser, width=1280, height=800, theme="dark"):
    """Open the page itself, as on a screen of that size; the origin is that of the address where the browser is."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < height}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(browser.current_url.rsplit("/", 1)[0] + "/index.html")
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    until(lambda: browser.execute_script("return document.querySelectorAll('.strip').length") == 5)


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def told(browser, number=0):
    """What a screen reader hears of a fader."""
    script = (
        "return document.querySelectorAll('.strip input[type=range]')[arguments[0]].getAttribute('aria-valuetext');"
    )
    return browser.execute_script(script, number)


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def complaints(browser):
    """What the page has written to the console."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
