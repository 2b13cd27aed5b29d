"""The approval page in a real browser, by keyboard alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def browser(
    tmp_path: Path, require: Callable[[str, bool], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Chromium without a window, the size of a phone."""
    driver = shutil.which("chromedriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    require("chromium", bool(driver and chromium and find_spec("selenium")))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost,.example")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=500,800"):
        options.add_argument(f"--{argument}")
    options.add_argument("--host-resolver-rules=MAP *.example 127.0.0.1")  # as if rebound
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    service = Service(driver, env={**os.environ, "HOME": str(tmp_path)})
    opened = webdriver.Chrome(options, service)
    yield opened
    opened.quit()


@pytest.fixture
def emulator(emulate: Any) -> Any:
    return emulate("--interval", "0.3")


@pytest.fixture
def login(qwen: Any, emulator: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A login that waits for approval, and the address to open."""
    process = subprocess.Popen(
        [*qwen.command, "auth", "login", "--method", "qwen-oauth"],
        env={**qwen.environ, "QWEN_OAUTH_BASE_URL": emulator.base_url},
        cwd=qwen.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    url = ""
    while "user_code=" not in url:
        url = process.stdout.readline()
    yield process, url.strip()
    process.kill()
    process.communicate()


def press(browser: Any, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def wait_for(browser: Any, title: str) -> None:
    deadline = time.monotonic() + 30
    while not browser.title.startswith(title):
        assert time.monotonic() < deadline, browser.title
        time.sleep(0.02)


def sign_in(browser: Any, url: str, password: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(url)
    wait_for(browser, "Sign in")
    press(browser, password, Keys.SHIFT + Keys.TAB + Keys.SHIFT)
    press(browser, Keys.END, "-tester", Keys.ENTER)
    wait_for(browser, "Approve this terminal?")


def keep(browser: Any, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("QWEN_TEST_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    assert browser.save_screenshot(str(folder / name))


def test_approve(browser: Any, emulator: Any, login: Any, qwen: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    process, url = login
    sign_in(browser, url, emulator.password)
    code = browser.find_element("id", "code").text
    assert url.endswith(code)
    keep(browser, "approval.png", tmp_path)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 500  # a phone shows it without scrolling sideways
    press(browser, Keys.ENTER)
    wait_for(browser, "Signed in")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Signed in as demo-tester@emulator.example" in out
    assert qwen("-p", "hi").returncode == 0


def test_deny(browser: Any, emulator: Any, login: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    process, url = login
    sign_in(browser, url, emulator.password)
    press(browser, Keys.TAB, Keys.ENTER)
    wait_for(browser, "Denied")
    keep(browser, "denied.png", tmp_path)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 41
    assert "refused in the browser" in err


def test_a_code_is_typed_by_hand(browser: Any, emulator: Any, login: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    process, url = login
    address, _, code = url.partition("?user_code=")
    browser.get(address)
    wait_for(browser, "Sign in")
    press(browser, emulator.password, Keys.ENTER)
    wait_for(browser, "Enter the code")
    press(browser, "wrong", Keys.ENTER)
    wait_for(browser, "Enter the code")
    assert "No sign-in has this code" in browser.page_source
    press(browser, code.lower().replace("-", ""), Keys.ENTER)
    wait_for(browser, "Approve this terminal?")
    press(browser, Keys.ENTER)
    wait_for(browser, "Signed in")
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_wrong_password_is_told(browser: Any, login: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    _, url = login
    browser.get(url)
    wait_for(browser, "Sign in")
    press(browser, "wrong", Keys.ENTER)
    deadline = time.monotonic() + 30
    while "The password is wrong" not in browser.page_source:
        assert time.monotonic() < deadline


def test_nothing_on_the_page_came_from_elsewhere(browser: Any, emulator: Any, login: Any) -> None:
    _, url = login
    sign_in(browser, url, emulator.password)
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e=>e.name)"
    )
    assert [name for name in loaded if not name.endswith("favicon.ico")] == []
    assert [
        entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]
    ] == []


def test_another_site_cannot_use_the_service(
    browser: Any, emulator: Any, login: Any, tmp_path: Path
) -> None:
    """A name that resolves to this machine is not enough, nor is a form posted from elsewhere."""
    _, url = login
    browser.get(url.replace("127.0.0.1", "evil.example"))
    assert "does not name this service" in browser.page_source
    sign_in(browser, url, emulator.password)  # so that the browser has a session to abuse
    page = tmp_path / "evil.html"
    page.write_text(
        f'<form method="post" action="{emulator.base_url}/authorize">'
        f'<input name="step" value="sign-in"><input name="password" value="{emulator.password}">'
        "<button autofocus>Go</button></form>"
    )
    browser.get(page.as_uri())
    browser.find_element("tag name", "button").click()
    deadline = time.monotonic() + 30
    while "comes from another web page" not in browser.page_source:
        assert time.monotonic() < deadline, browser.page_source
    refused = [e["status"] for e in emulator.log() if e["outcome"] == "refused"]
    assert 421 in refused and 403 in refused
