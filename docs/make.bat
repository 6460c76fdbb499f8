@echo off
rem make html builds the site into build\html; make lists the other formats.
pushd %~dp0
if "%SPHINXBUILD%" == "" set SPHINXBUILD=sphinx-build
if exist ..\.venv\Scripts\sphinx-build.exe set SPHINXBUILD=..\.venv\Scripts\sphinx-build.exe
if "%1" == "" (
	%SPHINXBUILD% -M help source build -W
) else (
	%SPHINXBUILD% -M %1 source build -W
)
popd
